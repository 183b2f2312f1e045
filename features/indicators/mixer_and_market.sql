-- A wallet between a mixer and a darknet market: what it had from the one goes to the other within days.
WITH events AS (
    SELECT payee AS entity, asset, seq, moment, usd, 'in' AS direction,
        CASE WHEN payer_market THEN 'market' ELSE 'mixer' END AS other
    FROM payment WHERE payee_private AND (payer_market OR payer_kind = 'mixer')
    UNION ALL
    SELECT payer AS entity, asset, seq, moment, usd, 'out' AS direction,
        CASE WHEN payee_market THEN 'market' ELSE 'mixer' END AS other
    FROM payment WHERE payer_private AND (payee_market OR payee_kind = 'mixer')
    UNION ALL
    SELECT entity, asset, seq, moment, usd, direction, 'mixer' AS other FROM movement WHERE coinjoin
),
sized AS (
    SELECT * FROM events WHERE usd >= 1000000 * $value_usd
),
paired AS (
    SELECT
        *,
        max(CASE WHEN direction = 'in' AND other = 'mixer' THEN seq END) OVER (
            PARTITION BY entity, asset ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS mixer_seq,
        max(CASE WHEN direction = 'in' AND other = 'mixer' THEN moment END) OVER (
            PARTITION BY entity, asset ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS mixer_moment,
        max(CASE WHEN direction = 'in' AND other = 'market' THEN seq END) OVER (
            PARTITION BY entity, asset ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS market_seq,
        max(CASE WHEN direction = 'in' AND other = 'market' THEN moment END) OVER (
            PARTITION BY entity, asset ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS market_moment
    FROM sized
),
crossings AS (
    SELECT entity, seq, usd, CASE WHEN other = 'market' THEN mixer_seq ELSE market_seq END AS from_seq,
        moment - CASE WHEN other = 'market' THEN mixer_moment ELSE market_moment END AS wait
    FROM paired
    WHERE direction = 'out'
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY entity ORDER BY usd DESC, seq) AS place
    FROM crossings
    WHERE wait <= 86400 * $days
)
SELECT
    entity,
    CAST(86400 * $days AS DOUBLE) / (min(wait) + 86400 * $days) AS strength,
    list_sort(list_distinct(list_concat(
        list(seq) FILTER (WHERE place <= 10), list(from_seq) FILTER (WHERE place <= 10)
    ))) AS evidence,
    count(DISTINCT seq) + count(DISTINCT from_seq) AS evidence_count,
    count(*) AS times,
    CAST(min(wait) AS DOUBLE) / 86400 AS days,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM placed
GROUP BY entity
