-- One asset is changed into another and back within a day, at a loss, more than once.
WITH touches AS (
    SELECT payer AS entity, seq, moment, asset, amount, usd, 'out' AS direction
    FROM payment WHERE payer_private AND payee_kind = 'convert'
    UNION ALL
    SELECT payee AS entity, seq, moment, asset, amount, usd, 'in' AS direction
    FROM payment WHERE payee_private AND payer_kind = 'convert'
),
ordered AS (
    SELECT
        *,
        lag(direction) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_direction,
        lag(seq) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_seq,
        lag(moment) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_moment,
        lag(asset) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_asset,
        lag(amount) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_amount,
        lag(usd) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS given_usd
    FROM touches
),
-- Paid one asset, and got another within ten minutes.
swaps AS (
    SELECT *
    FROM ordered
    WHERE direction = 'in' AND given_direction = 'out' AND given_asset <> asset AND moment - given_moment <= 600
),
chained AS (
    SELECT
        *,
        lag(given_seq) OVER (PARTITION BY entity ORDER BY seq) AS start_seq,
        lag(seq) OVER (PARTITION BY entity ORDER BY seq) AS middle_seq,
        lag(given_asset) OVER (PARTITION BY entity ORDER BY seq) AS start_asset,
        lag(asset) OVER (PARTITION BY entity ORDER BY seq) AS middle_asset,
        lag(given_amount) OVER (PARTITION BY entity ORDER BY seq) AS start_amount,
        lag(given_moment) OVER (PARTITION BY entity ORDER BY seq) AS start_moment,
        lag(given_usd) OVER (PARTITION BY entity ORDER BY seq) AS start_usd
    FROM swaps
),
trips AS (
    SELECT *, row_number() OVER (PARTITION BY entity ORDER BY start_usd DESC NULLS LAST, seq) AS place
    FROM chained
    WHERE asset = start_asset
        AND given_asset = middle_asset
        AND amount <= start_amount
        AND CAST(amount AS DOUBLE) >= $kept_share * CAST(start_amount AS DOUBLE)
        AND moment - start_moment <= 3600 * $hours
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $times) AS strength,
    list_sort(list_distinct(list_concat(
        list_concat(list(start_seq) FILTER (WHERE place <= 5), list(middle_seq) FILTER (WHERE place <= 5)),
        list_concat(list(given_seq) FILTER (WHERE place <= 5), list(seq) FILTER (WHERE place <= 5))
    ))) AS evidence,
    count(DISTINCT start_seq) + count(DISTINCT middle_seq) + count(DISTINCT given_seq) + count(DISTINCT seq)
        AS evidence_count,
    count(*) AS times,
    1 - CAST(sum(amount) AS DOUBLE) / CAST(sum(start_amount) AS DOUBLE) AS lost_share,
    CAST(sum(start_usd) AS DOUBLE) / 1000000 AS total_usd
FROM trips
GROUP BY entity, asset
HAVING count(*) >= $times
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY count(*) DESC, min(seq)) = 1
