-- What an asset was worth on a day, in micro-USD for `units` whole units: the price of its own chain, else the
-- rate that holds on every chain. No row means unknown, but for what is pegged to the dollar.
CREATE TABLE worth AS
SELECT a.asset, p.day, CAST(p.usd_micro AS HUGEINT) AS usd_micro, CAST(p.units AS HUGEINT) AS units
FROM ledger.asset AS a
JOIN ledger.price AS p ON p.chain = a.chain AND p.reference = a.reference
WHERE a.listed
UNION ALL
SELECT a.asset, r.day, r.usd_micro, r.units
FROM ledger.asset AS a
JOIN ledger.rate AS r ON r.reference = a.reference
ANTI JOIN ledger.price AS p ON p.chain = a.chain AND p.reference = a.reference AND p.day = r.day
WHERE a.listed;
