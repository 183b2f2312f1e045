-- On a UTXO chain each payer spends an output: where the ledger holds the transaction that made it, the output
-- is there, was not made in a later block (on some chains the order inside one is free), and has that amount; on a chain that is whole from its first block it is always
-- there, and has the payer's account.
WITH whole AS (SELECT chain, last_height FROM synced WHERE first_height = 0),
counting AS (
    SELECT t.transfer, t.chain, t.height, t.position, t.hash, t.lossy, w.last_height >= t.height AS in_whole
    FROM transfer AS t
    JOIN chain AS c ON c.chain = t.chain
    LEFT JOIN whole AS w ON w.chain = t.chain
    WHERE c.utxo AND NOT t.duplicate
),
made AS (
    SELECT t.chain, t.hash, l.index, t.height, t.position, t.lossy, t.in_whole, l.address, l.amount
    FROM leg AS l JOIN counting AS t ON t.transfer = l.transfer
    WHERE l.side = 'payee' AND t.hash IS NOT NULL
),
spent AS (
    SELECT t.chain, t.hash, t.height, t.position, t.lossy, t.in_whole, l.address, l.amount,
           l.spent_hash, l.spent_index
    FROM leg AS l JOIN counting AS t ON t.transfer = l.transfer
    WHERE l.side = 'payer'
),
held AS (SELECT DISTINCT chain, hash, TRUE AS held FROM counting WHERE hash IS NOT NULL),
judged AS (
    SELECT s.*, CASE
        WHEN s.spent_hash IS NULL OR s.spent_index IS NULL THEN 'no output is named'
        WHEN m.hash IS NULL AND h.held THEN 'the transaction has no such output'
        WHEN m.hash IS NULL AND s.in_whole THEN 'the ledger has no such transaction'
        WHEN m.height > s.height THEN 'it was made only later, in block ' || m.height
        WHEN m.amount <> s.amount AND NOT m.lossy AND NOT s.lossy THEN 'it has the amount ' || m.amount
        WHEN m.address <> s.address AND m.in_whole AND s.in_whole THEN 'it is of ' || o.account
    END AS fault
    FROM spent AS s
    LEFT JOIN made AS m ON m.chain = s.chain AND m.hash = s.spent_hash AND m.index = s.spent_index
    LEFT JOIN held AS h ON h.chain = s.chain AND h.hash = s.spent_hash
    LEFT JOIN address AS o ON o.address = m.address
)
SELECT c.caip2 AS chain, j.height, j.hash, a.account,
       'a payer of ' || j.amount || ' spends output '
       || coalesce(lower(hex(j.spent_hash)) || ':' || j.spent_index, '?') || ', but ' || j.fault AS what
FROM judged AS j
LEFT JOIN address AS a ON a.address = j.address
LEFT JOIN chain AS c ON c.chain = j.chain
WHERE j.fault IS NOT NULL
