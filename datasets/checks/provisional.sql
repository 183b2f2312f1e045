-- Above the newest final block that the node named, and only there, its transfers are provisional. (A node
-- that lags names a lower one later on: what was final before stays so, but nothing is final above a
-- provisional transfer. What a file alone tells, such as a genesis or traces, is as settled as the file.)
WITH open AS (SELECT chain, min(height) AS lowest FROM transfer WHERE provisional GROUP BY chain),
judged AS (
    SELECT t.transfer, CASE
        WHEN t.provisional AND t.height IS NULL THEN 'provisional and has no height'
        WHEN t.provisional AND n.final_height IS NULL THEN 'provisional, and no node says what is final'
        WHEN t.provisional AND t.height <= n.final_height THEN 'provisional, and block ' || n.final_height || ' is final'
        WHEN NOT t.provisional AND t.height > n.final_height AND t.height >= o.lowest AND b.layout = 'node' THEN 'not provisional, and final is only block ' || n.final_height
    END AS fault
    FROM transfer AS t
    JOIN batch AS b ON b.batch = t.batch
    LEFT JOIN open AS o ON o.chain = t.chain
    LEFT JOIN node_head AS n ON n.chain = t.chain
    WHERE t.provisional OR t.height >= o.lowest
)
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account, t.kind || ' transfer is ' || j.fault AS what
FROM judged AS j
JOIN transfer AS t ON t.transfer = j.transfer
LEFT JOIN chain AS c ON c.chain = t.chain
WHERE j.fault IS NOT NULL
