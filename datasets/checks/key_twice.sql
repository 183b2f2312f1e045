-- What counts has a natural key of its own: (chain, height, position, kind, part), or the hash in place of
-- a position that is not stated. So has a block, and what an issuer froze.
WITH counting AS (FROM transfer WHERE NOT duplicate AND height IS NOT NULL),
doubled AS (
    SELECT chain, height, min(hash) AS hash,
           count(*) || ' ' || kind || ' transfers have position ' || position || ', part ' || part AS what
    FROM counting WHERE position IS NOT NULL
    GROUP BY chain, height, position, kind, part HAVING count(*) > 1
    UNION ALL
    SELECT chain, height, hash, count(*) || ' ' || kind || ' transfers have this hash and part ' || part
    FROM counting WHERE hash IS NOT NULL
    GROUP BY chain, height, hash, kind, part HAVING count(*) > 1 AND bool_or(position IS NULL)
    UNION ALL
    SELECT chain, height, NULL, 'the block is written down ' || count(*) || ' times'
    FROM block GROUP BY chain, height HAVING count(*) > 1
    UNION ALL
    SELECT chain, height, min(hash), count(*) || ' freezes have position ' || position || ', part ' || part
    FROM freeze_event GROUP BY chain, height, position, part HAVING count(*) > 1
)
SELECT c.caip2 AS chain, d.height, d.hash, NULL::VARCHAR AS account, d.what
FROM doubled AS d
LEFT JOIN chain AS c ON c.chain = d.chain
