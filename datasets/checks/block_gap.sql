-- Each height of a stretch has its block.
WITH held AS (
    SELECT s.chain, s.first_height, s.last_height, b.height
    FROM synced AS s
    JOIN block AS b ON b.chain = s.chain AND b.height BETWEEN s.first_height AND s.last_height
    UNION ALL
    SELECT chain, first_height, last_height, first_height - 1 FROM synced
),
followed AS (
    SELECT chain, height + 1 AS first_absent,
           lead(height, 1, last_height + 1) OVER (
               PARTITION BY chain, first_height, last_height ORDER BY height
           ) - 1 AS last_absent
    FROM held
)
SELECT c.caip2 AS chain, f.first_absent AS height, NULL::BLOB AS hash, NULL::VARCHAR AS account,
       if(f.first_absent = f.last_absent, 'the block is not there',
          'the blocks ' || f.first_absent || ' to ' || f.last_absent || ' are not there') AS what
FROM followed AS f
LEFT JOIN chain AS c ON c.chain = f.chain
WHERE f.first_absent <= f.last_absent
