-- Many remitters of low amounts to one wallet that is labelled as a supplier of precursors or equipment.
WITH pairs AS (
    SELECT payment.payee AS entity, payment.payer, min(payment.moment) AS moment, min(payment.seq) AS seq,
        sum(payment.usd) AS usd
    FROM payment
    JOIN party ON party.entity = payment.payee AND party.supplier
    WHERE payment.payer_private AND payment.usd > 0 AND payment.usd <= 1000000 * $low_usd
    GROUP BY payment.payee, payment.payer
),
windows AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS payers
    FROM pairs
),
best AS (
    SELECT entity, moment AS ending
    FROM windows
    WHERE payers >= $payers
    QUALIFY row_number() OVER (PARTITION BY entity ORDER BY payers DESC, seq) = 1
),
shown AS (
    SELECT pairs.*, row_number() OVER (PARTITION BY pairs.entity ORDER BY pairs.seq) AS place
    FROM best
    JOIN pairs ON pairs.entity = best.entity
    WHERE moment BETWEEN ending - 86400 * $days AND ending
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payers) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS payers,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM shown
GROUP BY entity
