-- A transfer has one leg of a side and an index.
WITH doubled AS (
    SELECT transfer, side, index, count(*) AS legs, min(address) AS address
    FROM leg GROUP BY transfer, side, index HAVING count(*) > 1
)
SELECT c.caip2 AS chain, t.height, t.hash, a.account,
       d.legs || ' ' || d.side || ' legs have index ' || d.index AS what
FROM doubled AS d
LEFT JOIN transfer AS t ON t.transfer = d.transfer
LEFT JOIN address AS a ON a.address = d.address
LEFT JOIN chain AS c ON c.chain = t.chain
