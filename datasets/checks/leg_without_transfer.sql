-- Every leg belongs to a transfer.
SELECT c.caip2 AS chain, NULL::BIGINT AS height, NULL::BLOB AS hash, a.account,
       l.side || ' leg of ' || l.amount || ' belongs to no transfer' AS what
FROM leg AS l
LEFT JOIN address AS a ON a.address = l.address
LEFT JOIN chain AS c ON c.chain = a.chain
WHERE l.transfer NOT IN (SELECT transfer FROM transfer)
