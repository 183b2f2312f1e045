-- What counts has a natural key of its own: (chain, height, position, kind, part), or the hash in place of
-- a position that is not stated; a transaction of a UTXO chain counts once in the whole ledger.
-- Bitcoin's two coinbases of 2010 that repeat an earlier one are known (BIP 30).
WITH counting AS (
    SELECT t.chain, t.height, t.position, t.kind, t.part, t.hash, c.utxo
    FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
    WHERE NOT t.duplicate
),
doubled AS (
    SELECT chain, height, min(hash) AS hash,
           count(*) || ' ' || kind || ' transfers have position ' || position || ', part ' || part AS what
    FROM counting WHERE height IS NOT NULL AND position IS NOT NULL
    GROUP BY chain, height, position, kind, part HAVING count(*) > 1
    UNION ALL
    SELECT chain, height, hash, count(*) || ' ' || kind || ' transfers have this hash and part ' || part
    FROM counting WHERE height IS NOT NULL AND hash IS NOT NULL
    GROUP BY chain, height, hash, kind, part HAVING count(*) > 1 AND bool_or(position IS NULL)
    UNION ALL
    SELECT chain, max(height), hash, 'the transaction counts ' || count(*) || ' times'
    FROM counting WHERE utxo AND hash IS NOT NULL
    GROUP BY chain, hash
    HAVING count(*) > 1 AND NOT (count(*) = 2 AND bool_and(height IN (91722, 91812, 91842, 91880)))
    UNION ALL
    SELECT chain, height, min(hash), 'position ' || position || ' has ' || count(DISTINCT hash) || ' hashes'
    FROM counting WHERE height IS NOT NULL AND position IS NOT NULL
    GROUP BY chain, height, position HAVING min(hash) <> max(hash)
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
