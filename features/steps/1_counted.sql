-- Every transfer that counts at $as_of, with its place in causal order.
-- Left out: what a later file repeats, and tokens that nobody listed.
CREATE TABLE counted AS
-- A block's clock may be wrong. One that is ahead of most of the eleven blocks after it by more than the two
-- hours that the protocol allows is read as they are, so that it hides nothing after it.
WITH block_time AS (
    SELECT chain, height, max(epoch_us(time)) AS stamp
    FROM ledger.transfer
    WHERE height IS NOT NULL
    GROUP BY chain, height
),
compared AS (
    SELECT chain, height, stamp,
        quantile_disc(stamp, 0.5) OVER (
            PARTITION BY chain ORDER BY height ROWS BETWEEN 1 FOLLOWING AND 11 FOLLOWING
        ) AS later
    FROM block_time
),
-- Block times may step back a little; `time` is the latest one so far, so that it never does.
clock AS (
    SELECT chain, height,
        make_timestamp(max(CASE WHEN stamp > later + 7200000000 THEN later ELSE stamp END) OVER (
            PARTITION BY chain ORDER BY height
        )) AS time
    FROM compared
),
-- Without blocks the order inside one moment is not known. It comes from what the transfers say, so that it
-- depends neither on files nor on imports; `order.py` then puts receipts before the payments that spend them.
tied AS (
    SELECT chain, time FROM ledger.transfer WHERE height IS NULL AND NOT duplicate
    GROUP BY chain, time HAVING count(*) > 1
),
said AS (
    SELECT t.transfer, coalesce(hex(any_value(t.hash)), '') || ' ' || string_agg(
        concat_ws(':', l.side, l.index, a.account, l.amount), ' ' ORDER BY l.side, l.index, a.account, l.amount
    ) AS words
    FROM ledger.transfer AS t
    JOIN tied ON tied.chain = t.chain AND tied.time = t.time
    JOIN ledger.leg AS l ON l.transfer = t.transfer
    JOIN ledger.address AS a ON a.address = l.address
    WHERE t.height IS NULL
    GROUP BY t.transfer
),
-- The order of chains and of files, as small numbers: texts in the sort below would cost most of its memory.
chain_order AS (
    SELECT chain, row_number() OVER (ORDER BY caip2) AS place FROM ledger.chain
),
batch_order AS (
    SELECT batch, dense_rank() OVER (ORDER BY sha256) AS place FROM ledger.batch
),
known AS (
    SELECT t.transfer, t.chain, t.asset, t.kind, t.height, t.position, t.part, t.row, t.batch,
        coalesce(clock.time, t.time) AS time
    FROM ledger.transfer AS t
    JOIN ledger.asset AS a ON a.asset = t.asset AND a.listed
    LEFT JOIN clock ON clock.chain = t.chain AND clock.height = t.height
    WHERE NOT t.duplicate
)
SELECT
    row_number() OVER (
        ORDER BY known.time, c.place, known.height NULLS FIRST, known.position NULLS LAST,
        known.kind, known.part, said.words NULLS LAST, b.place, known.row, known.transfer
    ) AS place,
    known.transfer, known.chain, known.asset, known.kind, known.time, known.height
FROM known
JOIN chain_order AS c ON c.chain = known.chain
JOIN batch_order AS b ON b.batch = known.batch
LEFT JOIN said ON said.transfer = known.transfer
WHERE known.time < $as_of
ORDER BY place;
