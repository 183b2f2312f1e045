-- In a stretch a transfer has the time of its block.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer has the time ' || t.time || ', its block ' || b.time AS what
FROM transfer AS t
JOIN block AS b ON b.chain = t.chain AND b.height = t.height
JOIN chain AS c ON c.chain = t.chain
WHERE t.time <> b.time AND NOT t.duplicate AND EXISTS (
    FROM synced AS s WHERE s.chain = t.chain AND t.height BETWEEN s.first_height AND s.last_height
)
