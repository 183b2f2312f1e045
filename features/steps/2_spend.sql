-- Which output each payer leg of a UTXO chain spends: the hashes are compared here, once, and from here on
-- an output is (place of its transfer, index). Two transactions may have one hash (abandoned blocks, BIP 30):
-- then a spend has two creators, and step 4 takes the later one before it.
CREATE TABLE spend AS
SELECT s.place AS spender, l.index, c.place AS creator, l.spent_index
FROM ledger.leg AS l
JOIN counted AS s ON s.transfer = l.transfer
JOIN ledger.transfer AS h ON h.hash = l.spent_hash AND h.chain = s.chain
JOIN counted AS c ON c.transfer = h.transfer
SEMI JOIN ledger.leg AS o
    ON o.transfer = c.transfer AND o.side = 'payee' AND o.index = l.spent_index AND o.amount > 0
WHERE l.side = 'payer' AND l.spent_hash IS NOT NULL AND l.amount > 0;
