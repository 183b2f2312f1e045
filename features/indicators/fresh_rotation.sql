-- Hypothesis: wallets of one use, one after the other, each handing all that it took to the same collector.
WITH used_once AS (
    SELECT relay.entity AS wallet, relay.payee AS collector, relay.first_in_seq, relay.seq, relay.first_in_moment,
        relay.moment, relay.usd
    FROM relay
    JOIN party ON party.entity = relay.entity AND party.payments = 1 AND party.receipts <= $most_receipts
        AND party.first_seq = relay.first_in_seq
    JOIN party AS target ON target.entity = relay.payee AND target.private
    WHERE relay.amount <= relay.received
        AND CAST(relay.amount AS DOUBLE) >= $passed_share * CAST(relay.received AS DOUBLE)
        AND relay.moment - relay.first_in_moment <= 86400 * $days
        AND relay.payer IS DISTINCT FROM relay.payee
),
ordered AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY collector) AS wallets,
        first_in_moment - lag(moment) OVER (PARTITION BY collector ORDER BY first_in_seq, wallet) AS pause
    FROM used_once
),
-- A hand-over: the next wallet begins after the one before has paid, and soon after.
handed AS (
    SELECT
        *,
        CASE WHEN pause BETWEEN 0 AND 86400 * $days THEN 1 ELSE 0 END AS handover,
        row_number() OVER (PARTITION BY collector ORDER BY usd DESC NULLS LAST, first_in_seq, wallet) AS place
    FROM ordered
    WHERE wallets >= $wallets
),
chains AS (
    SELECT
        collector,
        count(*) AS wallets,
        sum(handover) AS handovers,
        CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd,
        list_sort(list_distinct(list_concat(
            list(first_in_seq) FILTER (WHERE place <= 10), list(seq) FILTER (WHERE place <= 10)
        ))) AS evidence,
        count(DISTINCT first_in_seq) + count(DISTINCT seq) AS transfers
    FROM handed
    GROUP BY collector
    HAVING sum(handover) >= $wallets - 1
        AND CAST(sum(handover) AS DOUBLE) >= $handover_share * (count(*) - 1)
        AND count(*) <= $most_wallets
),
roles AS (
    SELECT collector AS entity, 'collector' AS role, chains.* FROM chains
    UNION ALL
    SELECT handed.wallet AS entity, 'member' AS role, chains.*
    FROM handed
    JOIN chains ON chains.collector = handed.collector
)
SELECT
    entity,
    CAST(handovers AS DOUBLE) / (handovers + $wallets - 1) AS strength,
    evidence,
    transfers AS evidence_count,
    wallets,
    handovers,
    role,
    total_usd
FROM roles
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY handovers DESC, role, collector) = 1
