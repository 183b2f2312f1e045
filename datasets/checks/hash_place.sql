-- A place in a block has one transaction; on a UTXO chain a transaction counts once in the whole ledger.
-- Bitcoin's two coinbases of 2010 that repeat an earlier one are known (BIP 30).
WITH counting AS (
    SELECT t.chain, t.height, t.position, t.hash, c.utxo
    FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
    WHERE NOT t.duplicate AND t.hash IS NOT NULL
),
doubled AS (
    SELECT chain, max(height) AS height, hash, 'the transaction counts ' || count(*) || ' times' AS what
    FROM counting WHERE utxo
    GROUP BY chain, hash
    HAVING count(*) > 1 AND NOT (count(*) = 2 AND bool_and(height IN (91722, 91812, 91842, 91880)))
    UNION ALL
    SELECT chain, height, min(hash), 'position ' || position || ' has ' || count(DISTINCT hash) || ' hashes'
    FROM counting WHERE height IS NOT NULL AND position IS NOT NULL
    GROUP BY chain, height, position HAVING min(hash) <> max(hash)
)
SELECT c.caip2 AS chain, d.height, d.hash, NULL::VARCHAR AS account, d.what
FROM doubled AS d
LEFT JOIN chain AS c ON c.chain = d.chain
