-- Hypothesis: a wallet that paid a darknet market before (a seller's bond) is paid by it time after time, and pays
-- several private wallets within days of each receipt.
WITH dealt AS (
    SELECT payee AS entity, seq, moment, 'in' AS direction FROM payment WHERE payee_private AND payer_market
    UNION ALL
    SELECT payer AS entity, seq, moment, 'out' AS direction FROM payment WHERE payer_private AND payee_market
),
sellers AS (
    SELECT
        entity,
        min(CASE WHEN direction = 'out' THEN seq END) AS bond_seq,
        count(*) FILTER (WHERE direction = 'in') AS payouts
    FROM dealt
    GROUP BY entity
    HAVING min(CASE WHEN direction = 'out' THEN seq END) < min(CASE WHEN direction = 'in' THEN seq END)
        AND count(*) FILTER (WHERE direction = 'in') >= $payouts
),
paid_in AS (
    SELECT dealt.entity, dealt.seq, dealt.moment
    FROM dealt
    JOIN sellers ON sellers.entity = dealt.entity
    WHERE dealt.direction = 'in'
),
timeline AS (
    SELECT entity, seq, moment, CAST(NULL AS BIGINT) AS payee, seq AS market_seq, moment AS market_moment FROM paid_in
    UNION ALL
    SELECT payment.payer, payment.seq, payment.moment, payment.payee, NULL, NULL
    FROM payment
    JOIN sellers ON sellers.entity = payment.payer
    WHERE payment.payee_private
),
runs AS (
    SELECT
        entity,
        seq,
        moment,
        payee,
        max(market_seq) OVER (
            PARTITION BY entity ORDER BY seq, payee NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS market_seq,
        max(market_moment) OVER (
            PARTITION BY entity ORDER BY seq, payee NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS market_moment
    FROM timeline
),
fans AS (
    SELECT entity, market_seq, count(DISTINCT payee) AS payees, min(seq) AS first_paid, max(seq) AS last_paid,
        count(DISTINCT seq) AS payments
    FROM runs
    WHERE payee IS NOT NULL AND moment - market_moment <= 86400 * $days
    GROUP BY entity, market_seq
    HAVING count(DISTINCT payee) >= $payees
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY entity ORDER BY payees DESC, market_seq) AS place
    FROM fans
)
SELECT
    placed.entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payouts) AS strength,
    list_sort(list_distinct(list_append(list_concat(
        list_concat(list(market_seq) FILTER (WHERE place <= 6), list(first_paid) FILTER (WHERE place <= 6)),
        list(last_paid) FILTER (WHERE place <= 6)
    ), max(sellers.bond_seq)))) AS evidence,
    count(*) + sum(payments) + 1 AS evidence_count,
    count(*) AS times,
    max(sellers.payouts) AS payouts,
    max(payees) AS most_payees
FROM placed
JOIN sellers ON sellers.entity = placed.entity
GROUP BY placed.entity
HAVING count(*) >= $payouts
