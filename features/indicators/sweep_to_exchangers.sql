-- Hypothesis: a wallet that many pay sends nearly all of it, within hours of receipts, to a few exchangers.
WITH collectors AS (
    SELECT payee AS entity
    FROM payment
    WHERE payee_private AND payer_private
    GROUP BY payee
    HAVING count(*) >= $receipts AND count(DISTINCT payer) >= $payers
),
runs AS (
    SELECT
        movement.entity,
        movement.seq,
        movement.moment,
        movement.direction,
        movement.usd,
        max(CASE WHEN direction = 'in' THEN moment END) OVER (
            PARTITION BY movement.entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS receipt_moment,
        max(CASE WHEN direction = 'in' THEN seq END) OVER (
            PARTITION BY movement.entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS receipt_seq
    FROM movement
    JOIN collectors ON collectors.entity = movement.entity
),
exits AS (
    SELECT payment.payer AS entity, payment.seq, payment.usd,
        coalesce(payment.payee_service, payment.payee) AS exchanger
    FROM payment
    JOIN collectors ON collectors.entity = payment.payer
    JOIN party ON party.entity = payment.payee
    WHERE payment.payee_service IS NOT NULL OR party.exchanger
),
swept AS (
    SELECT
        exits.entity,
        exits.seq,
        runs.receipt_seq,
        exits.exchanger,
        exits.usd,
        runs.moment - runs.receipt_moment AS wait,
        row_number() OVER (
            PARTITION BY exits.entity ORDER BY exits.usd DESC NULLS LAST, exits.seq, exits.exchanger
        ) AS place
    FROM exits
    JOIN runs ON runs.entity = exits.entity AND runs.seq = exits.seq AND runs.direction = 'out'
    WHERE runs.moment - runs.receipt_moment <= 3600 * $hours
),
sums AS (
    SELECT
        entity,
        count(DISTINCT seq) AS sweeps,
        count(DISTINCT exchanger) AS exchangers,
        sum(usd) AS usd,
        list_distinct(list(seq) FILTER (WHERE place <= 10)) AS payments,
        list_distinct(list(receipt_seq) FILTER (WHERE place <= 10)) AS receipts,
        count(DISTINCT receipt_seq) AS receipts_before
    FROM swept
    GROUP BY entity
    HAVING count(DISTINCT seq) >= $sweeps AND count(DISTINCT exchanger) <= $exchangers
),
totals AS (
    SELECT entity, sum(CASE WHEN direction = 'out' THEN usd END) AS sent,
        sum(CASE WHEN direction = 'in' THEN usd END) AS received
    FROM runs
    GROUP BY entity
)
SELECT
    sums.entity,
    CAST(sweeps AS DOUBLE) / (sweeps + $sweeps) AS strength,
    list_sort(list_distinct(list_concat(payments, receipts))) AS evidence,
    sweeps + receipts_before AS evidence_count,
    sweeps,
    exchangers,
    CAST(sums.usd AS DOUBLE) / CAST(totals.received AS DOUBLE) AS swept_share,
    CAST(sums.usd AS DOUBLE) / 1000000 AS total_usd
FROM sums
JOIN totals ON totals.entity = sums.entity
WHERE CAST(sums.usd AS DOUBLE) >= $swept_share * CAST(totals.sent AS DOUBLE)
    AND CAST(sums.usd AS DOUBLE) >= $swept_share * CAST(totals.received AS DOUBLE)
