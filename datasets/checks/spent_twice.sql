-- No output is spent twice.
WITH spent AS (
    SELECT t.chain, t.height, t.hash, l.address, l.spent_hash, l.spent_index
    FROM leg AS l
    JOIN transfer AS t ON t.transfer = l.transfer
    JOIN chain AS c ON c.chain = t.chain
    WHERE c.utxo AND NOT t.duplicate AND l.side = 'payer' AND l.spent_hash IS NOT NULL
),
doubled AS (
    SELECT chain, spent_hash, spent_index, count(*) AS spends, min(height) AS height, min(hash) AS first_hash,
           max(hash) AS hash, min(address) AS address
    FROM spent GROUP BY chain, spent_hash, spent_index HAVING count(*) > 1
)
SELECT c.caip2 AS chain, d.height, d.hash, a.account,
       'output ' || lower(hex(d.spent_hash)) || ':' || coalesce(d.spent_index::VARCHAR, '?') || ' is spent '
       || d.spends || ' times, by ' || coalesce(lower(hex(d.first_hash)), '?') || ' too' AS what
FROM doubled AS d
LEFT JOIN address AS a ON a.address = d.address
LEFT JOIN chain AS c ON c.chain = d.chain
