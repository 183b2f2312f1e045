-- Above the newest final block that the node named, and only there, transfers are provisional.
WITH whole AS (
    SELECT t.transfer, t.provisional, n.final_height
    FROM transfer AS t
    LEFT JOIN synced AS s ON s.chain = t.chain AND t.height BETWEEN s.first_height AND s.last_height
    LEFT JOIN node_head AS n ON n.chain = t.chain
    WHERE t.provisional OR (s.first_height IS NOT NULL AND t.height > n.final_height)
)
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer is ' || CASE
           WHEN NOT w.provisional THEN 'not provisional, and final is only block ' || w.final_height
           WHEN t.height IS NULL THEN 'provisional and has no height'
           WHEN w.final_height IS NULL THEN 'provisional, and no node says what is final'
           ELSE 'provisional, and block ' || w.final_height || ' is final'
       END AS what
FROM whole AS w
JOIN transfer AS t ON t.transfer = w.transfer
LEFT JOIN chain AS c ON c.chain = t.chain
WHERE NOT w.provisional OR t.height IS NULL OR w.final_height IS NULL OR t.height <= w.final_height
