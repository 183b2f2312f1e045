-- Blocks of a stretch follow one another in time: none is before its parent on an account chain; on a UTXO
-- chain each is after the middle of the eleven before it.
WITH whole AS (
    SELECT b.chain, b.height, b.hash, b.time, c.caip2, c.utxo,
           lag(b.time) OVER up AS parent_time, lag(b.height) OVER up AS parent_height,
           lag(b.height, 11) OVER up AS eleventh_height,
           quantile_disc(b.time, 0.5) OVER eleven AS middle_time
    FROM block AS b
    JOIN synced AS s ON s.chain = b.chain AND b.height BETWEEN s.first_height AND s.last_height
    JOIN chain AS c ON c.chain = b.chain
    WINDOW up AS (PARTITION BY b.chain ORDER BY b.height),
           eleven AS (PARTITION BY b.chain ORDER BY b.height ROWS BETWEEN 11 PRECEDING AND 1 PRECEDING)
)
SELECT caip2 AS chain, height, hash, NULL::VARCHAR AS account,
       if(utxo, 'the block''s time ' || time || ' is not after ' || middle_time || ', the middle of the eleven before',
          'the block''s time ' || time || ' is before its parent''s, ' || parent_time) AS what
FROM whole
WHERE (utxo AND eleventh_height = height - 11 AND time <= middle_time)
   OR (NOT utxo AND parent_height = height - 1 AND time < parent_time)
