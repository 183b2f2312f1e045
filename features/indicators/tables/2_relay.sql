-- Each payment of a private wallet that follows receipts in the same asset, beside what came in since the payment
-- before it: how money passes through. `payer` and `payee` are NULL where there are several, or none is known.
CREATE TABLE relay AS
WITH events AS (
    SELECT
        entity,
        asset,
        seq,
        moment,
        direction,
        amount,
        usd,
        sum(CASE WHEN direction = 'out' THEN 1 ELSE 0 END) OVER (
            PARTITION BY entity, asset ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - CASE WHEN direction = 'out' THEN 1 ELSE 0 END AS run
    FROM movement
),
payees AS (
    SELECT payer AS entity, seq, count(*) AS payees, min(payee) AS payee
    FROM edge
    GROUP BY payer, seq
),
runs AS (
    SELECT
        events.entity,
        events.asset,
        events.run,
        max(CASE WHEN direction = 'out' THEN events.seq END) AS seq,
        max(CASE WHEN direction = 'out' THEN moment END) AS moment,
        max(CASE WHEN direction = 'out' THEN amount END) AS amount,
        max(CASE WHEN direction = 'out' THEN usd END) AS usd,
        count(*) FILTER (WHERE direction = 'in') AS receipts,
        sum(CASE WHEN direction = 'in' THEN amount END) AS received,
        min(CASE WHEN direction = 'in' THEN events.seq END) AS first_in_seq,
        max(CASE WHEN direction = 'in' THEN events.seq END) AS last_in_seq,
        min(CASE WHEN direction = 'in' THEN moment END) AS first_in_moment,
        max(CASE WHEN direction = 'in' THEN moment END) AS last_in_moment,
        count(DISTINCT CASE WHEN direction = 'in' THEN sole_payer.entity END) AS payers,
        min(CASE WHEN direction = 'in' THEN sole_payer.entity END) AS payer
    FROM events
    LEFT JOIN sole_payer ON sole_payer.seq = events.seq
    GROUP BY events.entity, events.asset, events.run
)
SELECT
    runs.entity,
    runs.asset,
    runs.seq,
    runs.moment,
    runs.amount,
    runs.usd,
    coalesce(payees.payees, 0) AS payees,
    CASE WHEN payees.payees = 1 THEN payees.payee END AS payee,
    runs.receipts,
    runs.received,
    runs.first_in_seq,
    runs.last_in_seq,
    runs.first_in_moment,
    runs.last_in_moment,
    runs.payers,
    CASE WHEN runs.payers = 1 THEN runs.payer END AS payer
FROM runs
LEFT JOIN payees ON payees.entity = runs.entity AND payees.seq = runs.seq
WHERE runs.seq IS NOT NULL AND runs.receipts > 0
ORDER BY runs.entity, runs.seq;
