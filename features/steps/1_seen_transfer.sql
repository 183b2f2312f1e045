-- Every transfer that counts at $as_of, numbered in causal order.
-- Block times may step back a little; `time` is the latest block time so far, so that it never does.
-- Left out: what a later file repeats, and tokens that nobody listed.
CREATE TABLE seen_transfer AS
WITH block_time AS (
    SELECT chain, height, max(max(time)) OVER (PARTITION BY chain ORDER BY height) AS time
    FROM ledger.transfer
    WHERE height IS NOT NULL
    GROUP BY chain, height
),
known AS (
    SELECT
        t.transfer, t.chain, t.asset, t.kind, t.hash, t.height, t.position, t.part, t.row, t.batch,
        coalesce(block_time.time, t.time) AS time
    FROM ledger.transfer AS t
    JOIN ledger.asset AS a ON a.asset = t.asset AND a.listed
    LEFT JOIN block_time ON block_time.chain = t.chain AND block_time.height = t.height
    WHERE NOT t.duplicate
)
SELECT
    row_number() OVER (
        ORDER BY known.time, c.caip2, known.height NULLS FIRST, known.position NULLS LAST,
        known.kind, known.part, b.sha256, known.row, known.transfer
    ) AS seq,
    known.transfer, known.chain, known.asset, known.kind, known.time, known.height, known.hash,
    false AS coinjoin
FROM known
JOIN ledger.chain AS c ON c.chain = known.chain
JOIN ledger.batch AS b ON b.batch = known.batch
WHERE known.time < $as_of
ORDER BY seq;
