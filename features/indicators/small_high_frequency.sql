-- Many small receipts within weeks, most of them from the same payers who come back.
WITH small AS (
    SELECT payee AS entity, payer, seq, moment, usd
    FROM payment
    WHERE payee_private AND payer_private AND usd > 0 AND usd <= 1000000 * $small_usd
),
windows AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS receipts
    FROM small
),
best AS (
    SELECT entity, moment AS ending
    FROM windows
    WHERE receipts >= $receipts
    QUALIFY row_number() OVER (PARTITION BY entity ORDER BY receipts DESC, seq) = 1
),
shown AS (
    SELECT
        small.*,
        count(*) OVER (PARTITION BY small.entity, small.payer) AS visits,
        row_number() OVER (PARTITION BY small.entity, small.payer ORDER BY small.seq) AS visit
    FROM best
    JOIN small ON small.entity = best.entity
    WHERE moment BETWEEN ending - 86400 * $days AND ending
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY entity ORDER BY visits DESC, seq) AS place
    FROM shown
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $receipts) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS receipts,
    count(*) FILTER (WHERE visit = 1) AS payers,
    CAST(count(*) FILTER (WHERE visits >= $visits) AS DOUBLE) / count(*) AS returning_share,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM placed
GROUP BY entity
HAVING CAST(count(*) FILTER (WHERE visits >= $visits) AS DOUBLE) >= $returning_share * count(*)
    AND count(*) FILTER (WHERE visit = 1) >= $payers
