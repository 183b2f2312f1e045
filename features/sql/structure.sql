-- How an entity is built and how its transfers are. One row per entity with a transfer before $as_of.
-- A peel: one paying address, two paid, the smaller part at most a tenth, the larger not back where it came from.
WITH addresses AS (
    SELECT address, count(*) FILTER (WHERE direction = 'in') AS receipts
    FROM address_flow
    WHERE time < $as_of
    GROUP BY address
),
holdings AS (
    SELECT
        member.entity,
        count(*) AS addresses,
        count(*) FILTER (WHERE receipts > 0) AS receiving,
        sum(receipts) AS receipts
    FROM addresses
    JOIN member ON member.address = addresses.address
    GROUP BY member.entity
),
shapes AS (
    SELECT
        seen_leg.seq,
        max(CASE WHEN side = 'payer' THEN address END) AS payer,
        max(CASE WHEN side = 'payee' THEN least(amount, 10000000000000000000000000000000) END) AS larger,
        min(CASE WHEN side = 'payee' THEN least(amount, 10000000000000000000000000000000) END) AS smaller,
        max_by(CASE WHEN side = 'payee' THEN address END, CASE WHEN side = 'payee' THEN amount END) AS remainder
    FROM seen_leg
    JOIN seen_transfer ON seen_transfer.seq = seen_leg.seq
    WHERE seen_transfer.time < $as_of
    GROUP BY seen_leg.seq
    HAVING count(*) FILTER (WHERE side = 'payee') = 2
        AND min(CASE WHEN side = 'payee' THEN address END) < max(CASE WHEN side = 'payee' THEN address END)
        AND min(CASE WHEN side = 'payer' THEN address END) = max(CASE WHEN side = 'payer' THEN address END)
),
peels AS (
    SELECT shapes.seq, remainder_member.entity AS remainder
    FROM shapes
    JOIN member AS remainder_member ON remainder_member.address = shapes.remainder
    WHERE 9 * smaller <= larger AND shapes.remainder <> shapes.payer
),
totals AS (
    SELECT
        flow.entity,
        count(*) AS transfers,
        count(*) FILTER (WHERE flow.coinjoin) AS coinjoins,
        count(*) FILTER (WHERE flow.direction = 'in') AS receipts,
        count(*) FILTER (WHERE flow.direction = 'out') AS payments,
        count(*) FILTER (WHERE flow.direction = 'out' AND peels.seq IS NOT NULL) AS peeled,
        count(*) FILTER (WHERE flow.direction = 'in' AND peels.remainder = flow.entity) AS remainders
    FROM flow
    LEFT JOIN peels ON peels.seq = flow.seq
    WHERE flow.time < $as_of
    GROUP BY flow.entity
),
payments AS (
    SELECT payer, seq, count(*) AS payees
    FROM edge
    WHERE time < $as_of
    GROUP BY payer, seq
),
payouts AS (
    SELECT
        payer AS entity,
        count(*) AS payments,
        count(*) FILTER (WHERE payees >= 5) AS batches,
        sum(payees) AS payees
    FROM payments
    GROUP BY payer
)
SELECT
    totals.entity,
    holdings.addresses AS entity_addresses,
    CAST(holdings.receipts AS DOUBLE) / nullif(holdings.receiving, 0) AS receipts_per_address,
    CAST(totals.coinjoins AS DOUBLE) / totals.transfers AS coinjoin_share,
    CAST(payouts.batches AS DOUBLE) / payouts.payments AS batch_payment_share,
    CAST(payouts.payees AS DOUBLE) / payouts.payments AS payees_per_payment,
    CAST(totals.peeled AS DOUBLE) / nullif(totals.payments, 0) AS peel_payment_share,
    CAST(totals.remainders AS DOUBLE) / nullif(totals.receipts, 0) AS peel_remainder_share
FROM totals
LEFT JOIN holdings ON holdings.entity = totals.entity
LEFT JOIN payouts ON payouts.entity = totals.entity
