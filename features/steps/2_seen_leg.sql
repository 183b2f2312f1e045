-- The legs of the transfers seen, with their value on the day. An unknown price is NULL, never zero.
-- 38 digits times a price can leave the integers' range: such a value is unknown too.
-- Amounts are read as at most 10^31, beyond any supply of a listed asset, so that no sum can overflow.
CREATE TABLE seen_leg AS
WITH priced AS (
    SELECT
        t.seq, t.hash, l.side, l.index, l.address,
        least(l.amount, CAST(10000000000000000000000000000000 AS HUGEINT)) AS amount, l.spent_hash, l.spent_index,
        CAST(CASE WHEN a.usd_pegged THEN 1000000 ELSE p.usd_micro END AS HUGEINT) AS usd_micro,
        CAST(power(CAST(10 AS DOUBLE), a.decimals) AS HUGEINT) AS unit
    FROM seen_transfer AS t
    JOIN ledger.leg AS l ON l.transfer = t.transfer
    JOIN ledger.asset AS a ON a.asset = t.asset
    LEFT JOIN ledger.price AS p
        ON p.chain = a.chain AND p.reference = a.reference AND p.day = CAST(t.time AS DATE)
    WHERE l.amount > 0
)
SELECT
    seq, side, index, address, amount,
    CASE
        WHEN usd_micro > 0 AND amount > 100000000000000000000000000000000000000 // usd_micro THEN NULL
        ELSE try_cast(amount * usd_micro // unit AS BIGINT)
    END AS usd,
    hash, spent_hash, spent_index
FROM priced
ORDER BY seq, side, index;
