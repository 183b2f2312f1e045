-- Payments just under a reporting limit, several within a few days, few at or over it.
WITH limits AS (
    SELECT $lower_limit_usd AS top
    UNION ALL
    SELECT $upper_limit_usd AS top
),
sized AS (
    SELECT payer AS entity, top, seq, moment, usd, CASE WHEN usd < 1000000 * top THEN 1 ELSE 0 END AS under
    FROM payment
    CROSS JOIN limits
    WHERE payer_private AND usd >= $near_share * 1000000 * top
),
windows AS (
    SELECT
        *,
        sum(under) OVER (
            PARTITION BY entity, top ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS below,
        sum(1 - under) OVER (
            PARTITION BY entity, top ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS above
    FROM sized
),
best AS (
    SELECT entity, top, moment AS ending
    FROM windows
    WHERE under = 1 AND below >= $payments AND 2 * above <= below
    QUALIFY row_number() OVER (PARTITION BY entity ORDER BY below DESC, top DESC, seq) = 1
),
shown AS (
    SELECT sized.*, row_number() OVER (PARTITION BY sized.entity ORDER BY sized.seq) AS place
    FROM best
    JOIN sized ON sized.entity = best.entity AND sized.top = best.top
    WHERE under = 1 AND moment BETWEEN ending - 86400 * $days AND ending
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payments) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS payments,
    max(top) AS limit_usd,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM shown
GROUP BY entity
