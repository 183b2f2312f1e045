-- Several payments of high value by one private wallet within a day.
WITH high AS (
    SELECT payer AS entity, seq, moment, usd
    FROM payment
    WHERE payer_private AND usd >= 1000000 * $high_usd
),
windows AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN 3600 * $hours PRECEDING AND CURRENT ROW
        ) AS payments
    FROM high
),
best AS (
    SELECT entity, moment AS ending
    FROM windows
    WHERE payments >= $payments
    QUALIFY row_number() OVER (PARTITION BY entity ORDER BY payments DESC, seq) = 1
),
shown AS (
    SELECT high.*, row_number() OVER (PARTITION BY high.entity ORDER BY high.usd DESC, high.seq) AS place
    FROM best
    JOIN high ON high.entity = best.entity
    WHERE moment BETWEEN ending - 3600 * $hours AND ending
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payments) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS payments,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM shown
GROUP BY entity
