-- Receipts from several sources that together equal, within days, one payment to a custodial service.
WITH matches AS (
    SELECT
        relay.*,
        party.service,
        row_number() OVER (PARTITION BY relay.entity ORDER BY relay.payers DESC, relay.seq) AS turn,
        count(*) OVER (PARTITION BY relay.entity) AS times
    FROM relay
    JOIN party ON party.entity = relay.payee AND party.service IS NOT NULL
    WHERE relay.payers >= $payers
        AND relay.amount <= relay.received
        AND CAST(relay.amount AS DOUBLE) >= $equal_share * CAST(relay.received AS DOUBLE)
        AND relay.moment - relay.first_in_moment <= 86400 * $days
        AND relay.usd >= 1000000 * $paid_usd
),
shown AS (
    SELECT
        matches.entity,
        matches.seq AS paid_seq,
        matches.receipts,
        matches.payers,
        matches.usd,
        matches.times,
        CAST(matches.amount AS DOUBLE) / CAST(matches.received AS DOUBLE) AS equal_share,
        movement.seq,
        row_number() OVER (PARTITION BY matches.entity ORDER BY movement.amount DESC, movement.seq) AS place
    FROM matches
    JOIN movement ON movement.entity = matches.entity AND movement.asset = matches.asset
    WHERE matches.turn = 1
        AND matches.times >= $times
        AND movement.direction = 'in'
        AND movement.seq BETWEEN matches.first_in_seq AND matches.last_in_seq
)
SELECT
    entity,
    CAST(max(payers) AS DOUBLE) / (max(payers) + $payers) AS strength,
    list_sort(list_append(list(seq) FILTER (WHERE place <= 19), max(paid_seq))) AS evidence,
    max(receipts) + 1 AS evidence_count,
    max(payers) AS payers,
    max(equal_share) AS equal_share,
    CAST(max(usd) AS DOUBLE) / 1000000 AS paid_usd,
    max(times) AS times
FROM shown
GROUP BY entity
