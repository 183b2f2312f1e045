-- One wallet's money goes through several private wallets at about the same time and meets again at one collector.
WITH carried AS (
    SELECT relay.entity AS carrier, relay.payer, relay.payee AS collector, relay.first_in_seq, relay.seq,
        relay.first_in_moment AS moment, relay.usd,
        row_number() OVER (PARTITION BY relay.payer, relay.payee, relay.entity ORDER BY relay.seq) AS turn
    FROM relay
    JOIN party AS source ON source.entity = relay.payer AND source.private
    JOIN party AS target ON target.entity = relay.payee AND target.private
    WHERE relay.payer <> relay.payee
        AND relay.amount <= relay.received
        AND CAST(relay.amount AS DOUBLE) >= $passed_share * CAST(relay.received AS DOUBLE)
        AND relay.moment - relay.first_in_moment <= 86400 * $days
),
-- Whoever carries for this pair more than once is their usual way, and counts once, at first.
windows AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY payer, collector ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS carriers
    FROM carried
    WHERE turn = 1
),
best AS (
    SELECT payer, collector, moment AS ending
    FROM windows
    WHERE carriers >= $wallets
    QUALIFY row_number() OVER (PARTITION BY payer, collector ORDER BY carriers DESC, seq) = 1
),
shown AS (
    SELECT windows.*, row_number() OVER (PARTITION BY windows.payer, windows.collector ORDER BY windows.seq) AS place
    FROM best
    JOIN windows ON windows.payer = best.payer AND windows.collector = best.collector
    WHERE moment BETWEEN ending - 86400 * $days AND ending
),
webs AS (
    SELECT
        payer,
        collector,
        count(*) AS wallets,
        CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd,
        list_sort(list_distinct(list_concat(
            list(first_in_seq) FILTER (WHERE place <= 10), list(seq) FILTER (WHERE place <= 10)
        ))) AS evidence,
        count(DISTINCT first_in_seq) + count(DISTINCT seq) AS transfers
    FROM shown
    GROUP BY payer, collector
    HAVING sum(usd) >= 1000000 * $total_usd
),
roles AS (
    SELECT payer AS entity, 'payer' AS role, webs.* FROM webs
    UNION ALL
    SELECT collector AS entity, 'collector' AS role, webs.* FROM webs
    UNION ALL
    SELECT shown.carrier AS entity, 'member' AS role, webs.*
    FROM shown
    JOIN webs ON webs.payer = shown.payer AND webs.collector = shown.collector
)
SELECT
    entity,
    CAST(wallets AS DOUBLE) / (wallets + $wallets) AS strength,
    evidence,
    transfers AS evidence_count,
    wallets,
    role,
    total_usd
FROM roles
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY wallets DESC, role, payer, collector) = 1
