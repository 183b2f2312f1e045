-- Hypothesis: accounts of one age whose fees one wallet paid first, and which pay one and the same collector.
-- An exchange's deposit addresses look just so. They are left out: the collector is no service and the accounts are
-- no deposit addresses as far as is known, and a cohort is small.
WITH opened AS (
    SELECT payment.payee AS account, payment.payer AS funder, payment.seq AS funded_seq, payment.moment,
        payment.asset
    FROM payment
    JOIN party ON party.entity = payment.payee AND party.first_seq = payment.seq
    JOIN ledger.asset AS a ON a.asset = payment.asset AND starts_with(a.reference, 'slip44:')
    WHERE payment.payee_private AND payment.payer_private
),
paid AS (
    SELECT
        payment.payer AS account,
        payment.payee AS collector,
        count(*) AS payments,
        min(payment.seq) AS paid_seq,
        sum(count(*)) OVER (PARTITION BY payment.payer) AS all_payments,
        row_number() OVER (PARTITION BY payment.payer ORDER BY count(*) DESC, min(payment.seq), payment.payee) AS place
    FROM payment
    JOIN opened ON opened.account = payment.payer AND opened.asset <> payment.asset
    GROUP BY payment.payer, payment.payee
),
accounts AS (
    SELECT opened.account, opened.funder, paid.collector, opened.moment, opened.funded_seq, paid.paid_seq
    FROM opened
    JOIN paid ON paid.account = opened.account AND paid.place = 1
        AND CAST(paid.payments AS DOUBLE) >= $same_share * paid.all_payments
    JOIN party AS target ON target.entity = paid.collector AND target.private
    WHERE paid.collector <> opened.account
),
windows AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY funder, collector) AS together,
        count(*) OVER (
            PARTITION BY funder, collector ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS cohort
    FROM accounts
),
best AS (
    SELECT funder, collector, moment AS ending
    FROM windows
    WHERE cohort >= $accounts AND together <= $most_accounts
    QUALIFY row_number() OVER (PARTITION BY funder, collector ORDER BY cohort DESC, funded_seq) = 1
),
shown AS (
    SELECT accounts.*, row_number() OVER (PARTITION BY accounts.funder, accounts.collector ORDER BY funded_seq) AS place
    FROM best
    JOIN accounts ON accounts.funder = best.funder AND accounts.collector = best.collector
    WHERE moment BETWEEN ending - 86400 * $days AND ending
),
cohorts AS (
    SELECT
        funder,
        collector,
        count(*) AS accounts,
        CAST(max(moment) - min(moment) AS DOUBLE) / 86400 AS span_days,
        list_sort(list_distinct(list_concat(
            list(funded_seq) FILTER (WHERE place <= 10), list(paid_seq) FILTER (WHERE place <= 10)
        ))) AS evidence,
        count(DISTINCT funded_seq) + count(DISTINCT paid_seq) AS transfers
    FROM shown
    GROUP BY funder, collector
),
roles AS (
    SELECT shown.account AS entity, 'member' AS role, cohorts.*
    FROM shown
    JOIN cohorts ON cohorts.funder = shown.funder AND cohorts.collector = shown.collector
    UNION ALL
    SELECT collector AS entity, 'collector' AS role, cohorts.* FROM cohorts
    UNION ALL
    SELECT funder AS entity, 'funder' AS role, cohorts.* FROM cohorts
)
SELECT
    entity,
    CAST(accounts AS DOUBLE) / (accounts + $accounts) AS strength,
    evidence,
    transfers AS evidence_count,
    accounts,
    role,
    span_days
FROM roles
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY accounts DESC, role, funder, collector) = 1
