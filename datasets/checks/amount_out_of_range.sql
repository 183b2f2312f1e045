-- Amounts are whole numbers of at most 38 digits, and not negative.
SELECT c.caip2 AS chain, t.height, t.hash, a.account, l.side || ' leg has amount ' || l.amount AS what
FROM leg AS l
LEFT JOIN transfer AS t ON t.transfer = l.transfer
LEFT JOIN address AS a ON a.address = l.address
LEFT JOIN chain AS c ON c.chain = t.chain
WHERE l.amount < 0 OR l.amount > 99999999999999999999999999999999999999
