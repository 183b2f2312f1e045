-- What a node's blocks brought lies in a stretch that is known to be whole.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer was read from a node (' || b.source || '), and its block is in no stretch' AS what
FROM transfer AS t
JOIN batch AS b ON b.batch = t.batch
LEFT JOIN chain AS c ON c.chain = t.chain
WHERE b.layout = 'node' AND NOT EXISTS (
    FROM synced AS s WHERE s.chain = t.chain AND t.height BETWEEN s.first_height AND s.last_height
)
