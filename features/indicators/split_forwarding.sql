-- One receipt is paid on, nearly whole and within a day, in parts to wallets that begin with this payment.
WITH runs AS (
    SELECT
        *,
        sum(CASE WHEN direction = 'in' THEN 1 ELSE 0 END) OVER (
            PARTITION BY entity, asset ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS run
    FROM movement
),
received AS (
    SELECT entity, asset, run, seq, moment, amount, usd
    FROM runs
    WHERE direction = 'in' AND usd >= 1000000 * $received_usd
),
parts AS (
    SELECT
        received.entity,
        received.seq AS receipt_seq,
        received.amount AS received,
        received.usd,
        payment.seq,
        payment.payee,
        payment.amount,
        payment.moment - received.moment AS wait,
        payee.first_seq = payment.seq AND payee.private AS begun,
        row_number() OVER (
            PARTITION BY received.entity, received.seq ORDER BY payment.amount DESC, payment.seq, payment.payee
        ) AS place
    FROM received
    JOIN runs ON runs.entity = received.entity AND runs.asset = received.asset AND runs.run = received.run
        AND runs.direction = 'out' AND runs.moment <= received.moment + 3600 * $hours
    JOIN payment ON payment.payer = runs.entity AND payment.seq = runs.seq AND payment.asset = runs.asset
    JOIN party AS payee ON payee.entity = payment.payee
),
splits AS (
    SELECT
        entity,
        receipt_seq,
        max(usd) AS usd,
        count(DISTINCT CASE WHEN begun THEN payee END) AS wallets,
        CAST(sum(amount) AS DOUBLE) / CAST(max(received) AS DOUBLE) AS passed_share,
        CAST(sum(CASE WHEN begun THEN amount ELSE 0 END) AS DOUBLE) / CAST(max(received) AS DOUBLE) AS new_share,
        CAST(max(amount) AS DOUBLE) / CAST(max(received) AS DOUBLE) AS largest_share,
        max(wait) AS seconds,
        list_distinct(list(seq) FILTER (WHERE place <= 19)) AS seqs,
        count(DISTINCT seq) AS payments
    FROM parts
    GROUP BY entity, receipt_seq
)
SELECT
    entity,
    CAST(wallets AS DOUBLE) / (wallets + $wallets) AS strength,
    list_sort(list_append(seqs, receipt_seq)) AS evidence,
    payments + 1 AS evidence_count,
    wallets,
    CAST(usd AS DOUBLE) / 1000000 AS received_usd,
    least(passed_share, 1.0) AS passed_share,
    CAST(seconds AS DOUBLE) / 3600 AS hours
FROM splits
WHERE wallets >= $wallets
    AND new_share >= $passed_share
    AND passed_share <= 1.02
    AND largest_share <= $largest_share
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY wallets DESC, receipt_seq) = 1
