-- What counts, in its final order: `seen_transfer` and `seen_leg` are payments, `fee_leg` is what the chain
-- took for them. A fee moves value (tracing reads it) and is nothing that an address did to another.
CREATE TABLE placed AS
WITH numbered AS (
    SELECT c.*, row_number() OVER (ORDER BY place) AS of_all,
        row_number() OVER (PARTITION BY kind = 'fee' ORDER BY place) AS of_its_sort
    FROM counted AS c
    ANTI JOIN dust_transfer AS d ON d.transfer = c.transfer
)
SELECT place, transfer, chain, asset, kind, time, height,
    CASE WHEN kind = 'fee' THEN of_all - of_its_sort ELSE of_its_sort END AS seq  -- a fee: payments before it
FROM numbered;

CREATE TABLE seen_transfer AS
SELECT seq, transfer, chain, asset, kind, time, height, false AS coinjoin
FROM placed WHERE kind <> 'fee'
ORDER BY seq;

-- `turn` puts the fees between two payments in order.
CREATE TABLE fee_leg AS
SELECT p.seq, dense_rank() OVER (PARTITION BY p.seq ORDER BY p.place) AS turn, p.asset,
    l.side, l.index, l.address, l.amount
FROM placed AS p JOIN ledger.leg AS l ON l.transfer = p.transfer
WHERE p.kind = 'fee' AND l.amount > 0;

-- The legs with their value on the day. An unknown price is NULL, never zero.
-- 38 digits times a price can leave the integers' range. Then whole units are multiplied, and what is too large
-- even so is unknown.
-- Amounts are read as at most 10^31, beyond any supply of a listed asset, so that no sum can overflow.
-- `spent_seq` and `spent_index` name the output that a payer leg spends; `spent_seq` is 0 where that output
-- was not seen (or a forged file spends it before it exists), and NULL where balances are kept by address.
CREATE TABLE seen_leg AS
WITH spent AS (
    SELECT spender, index, max(creator) AS creator, any_value(spent_index) AS spent_index
    FROM spend WHERE creator < spender GROUP BY spender, index
),
origin AS (
    SELECT s.seq, x.index, c.seq AS spent_seq, x.spent_index
    FROM spent AS x
    JOIN placed AS s ON s.place = x.spender
    JOIN placed AS c ON c.place = x.creator
),
priced AS (
    SELECT
        t.seq, l.side, l.index, l.address,
        least(l.amount, CAST(10000000000000000000000000000000 AS HUGEINT)) AS amount,
        CASE WHEN w.day IS NOT NULL THEN w.usd_micro WHEN a.usd_pegged THEN 1000000 END AS usd_micro,
        CASE WHEN w.day IS NOT NULL THEN w.units ELSE 1 END AS units,
        CAST(power(CAST(10 AS DOUBLE), a.decimals) AS HUGEINT) AS unit,
        l.spent_hash IS NOT NULL AS spends
    FROM seen_transfer AS t
    JOIN ledger.leg AS l ON l.transfer = t.transfer
    JOIN ledger.asset AS a ON a.asset = t.asset
    LEFT JOIN worth AS w ON w.asset = t.asset AND w.day = CAST(t.time AS DATE)
    ANTI JOIN dust_output AS d ON d.transfer = t.transfer AND d.index = l.index AND l.side = 'payee'
    WHERE l.amount > 0
)
SELECT
    priced.seq, side, priced.index, address, amount,
    CASE
        WHEN amount <= 100000000000000000000000000000000000000 // usd_micro
            THEN try_cast(amount * usd_micro // unit // units AS BIGINT)
        WHEN amount // unit <= 100000000000000000000000000000000000000 // usd_micro
            THEN try_cast((amount // unit) * usd_micro // units AS BIGINT)
    END AS usd,
    CASE WHEN spends THEN coalesce(origin.spent_seq, 0) END AS spent_seq,
    CASE WHEN spends THEN origin.spent_index END AS spent_index
FROM priced
LEFT JOIN origin ON priced.side = 'payer' AND origin.seq = priced.seq AND origin.index = priced.index
ORDER BY priced.seq, side, priced.index;

DROP TABLE spend;
DROP TABLE counted;
DROP TABLE placed;
DROP TABLE dust_transfer;
DROP TABLE dust_output;
DROP TABLE worth;
