-- Every transfer has a number of its own: with two of one number nobody can tell whose the legs are.
WITH doubled AS (SELECT transfer FROM transfer GROUP BY transfer HAVING count(*) > 1)
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer shares its legs with another transfer' AS what
FROM transfer AS t
SEMI JOIN doubled AS d ON d.transfer = t.transfer
LEFT JOIN chain AS c ON c.chain = t.chain
