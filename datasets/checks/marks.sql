-- What two files say counts once, what one file says twice counts twice; a row with a natural key is neither.
-- How rows are to be marked is in expected_mark.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer of row ' || t.row || ' of ' || b.source || ' is '
       || if(t.duplicate, 'not counted', 'counted') || if(t.repeated, ' as a repeat', '') || ', and must be '
       || if(coalesce(e.duplicate, FALSE), 'not counted', 'counted')
       || if(coalesce(e.repeated, FALSE), ' as a repeat', '') AS what
FROM transfer AS t
LEFT JOIN expected_mark AS e ON e.transfer = t.transfer
LEFT JOIN chain AS c ON c.chain = t.chain
LEFT JOIN batch AS b ON b.batch = t.batch
WHERE t.repeated <> coalesce(e.repeated, FALSE) OR t.duplicate <> coalesce(e.duplicate, FALSE)
