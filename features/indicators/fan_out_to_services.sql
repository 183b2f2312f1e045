-- Soon after a receipt, payments to several different custodial services. A service's deposit addresses are one.
WITH runs AS (
    SELECT
        entity,
        seq,
        moment,
        direction,
        max(CASE WHEN direction = 'in' THEN seq END) OVER (
            PARTITION BY entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS receipt_seq,
        max(CASE WHEN direction = 'in' THEN moment END) OVER (
            PARTITION BY entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS receipt_moment
    FROM movement
),
paid AS (
    SELECT runs.entity, runs.receipt_seq, payment.seq, payment.payee_service AS service, payment.usd,
        runs.moment - runs.receipt_moment AS wait,
        row_number() OVER (
            PARTITION BY runs.entity, runs.receipt_seq, payment.payee_service
            ORDER BY payment.usd DESC NULLS LAST, payment.seq
        ) AS turn
    FROM runs
    JOIN payment ON payment.payer = runs.entity AND payment.seq = runs.seq
    WHERE runs.direction = 'out'
        AND runs.moment - runs.receipt_moment <= 3600 * $hours
        AND payment.payee_service IS NOT NULL
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY entity, receipt_seq ORDER BY turn, seq, service) AS place
    FROM paid
),
fans AS (
    SELECT
        entity,
        receipt_seq,
        count(DISTINCT service) AS services,
        count(DISTINCT seq) AS payments,
        max(wait) AS seconds,
        CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd,
        list_distinct(list(seq) FILTER (WHERE place <= 19)) AS seqs
    FROM placed
    GROUP BY entity, receipt_seq
    HAVING count(DISTINCT service) >= $services AND sum(usd) >= 1000000 * $total_usd
)
SELECT
    entity,
    CAST(services AS DOUBLE) / (services + $services) AS strength,
    list_sort(list_append(seqs, receipt_seq)) AS evidence,
    payments + 1 AS evidence_count,
    services,
    CAST(seconds AS DOUBLE) / 3600 AS hours,
    total_usd
FROM fans
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY services DESC, receipt_seq) = 1
