-- Stretches of blocks that are whole neither touch nor overlap, and begin before they end.
WITH neighbours AS (
    SELECT chain, first_height, last_height,
           lag(last_height) OVER (PARTITION BY chain ORDER BY first_height, last_height) AS before
    FROM synced
)
SELECT c.caip2 AS chain, n.first_height AS height, NULL::BLOB AS hash, NULL::VARCHAR AS account,
       'the stretch ' || n.first_height || ' to ' || n.last_height || CASE
           WHEN n.first_height < 0 THEN ' begins below the first block'
           WHEN n.last_height < n.first_height THEN ' ends before it begins'
           WHEN n.before = n.first_height - 1 THEN ' touches the one before it'
           ELSE ' overlaps the one before it'
       END AS what
FROM neighbours AS n
LEFT JOIN chain AS c ON c.chain = n.chain
WHERE n.first_height < 0 OR n.last_height < n.first_height OR n.before >= n.first_height - 1
