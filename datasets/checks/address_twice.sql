-- A text of a chain is written down once, and each has a number of its own.
WITH same_text AS (SELECT chain, key, account FROM address GROUP BY ALL HAVING count(*) > 1),
same_number AS (SELECT address FROM address GROUP BY address HAVING count(*) > 1)
SELECT c.caip2 AS chain, NULL::BIGINT AS height, NULL::BLOB AS hash, d.account,
       'the address is written down more than once' AS what
FROM same_text AS d
LEFT JOIN chain AS c ON c.chain = d.chain
UNION ALL
SELECT c.caip2, NULL, NULL, a.account, 'the address shares its transfers with another address'
FROM address AS a
SEMI JOIN same_number AS d ON d.address = a.address
LEFT JOIN chain AS c ON c.chain = a.chain
