-- How each transfer without a natural key is to be marked, recomputed from the rows alone. The second and later
-- ones of one content in a batch are repeated. Which are duplicates depends on the hash:
--   a transaction hash (32 bytes) of a UTXO chain counts once, with its height where one is known;
--   of an account chain, the k-th transfer of a hash, asset, accounts and amounts in a file is a duplicate where
--   blocks, or an earlier file, tell of k;
--   otherwise the k-th of one content (time, hash, asset, kind, part and legs) where an earlier file tells of k.
WITH placed AS (
    SELECT t.transfer, t.chain, t.batch, t.time, t.asset, t.kind, t.part, t.hash, c.utxo,
           t.height IS NOT NULL AND (t.position IS NOT NULL OR t.hash IS NOT NULL) AS keyed,
           coalesce(octet_length(t.hash) = 32, FALSE) AS hashed
    FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
),
loose AS (FROM placed WHERE NOT keyed),
crowded AS (  -- cheap first: what is alone by all but its legs repeats nothing
    SELECT chain, time, asset, kind, part, hash FROM loose GROUP BY ALL HAVING count(*) > 1
),
suspect AS (
    SELECT p.*
    FROM placed AS p SEMI JOIN (FROM loose WHERE hashed) AS s ON s.chain = p.chain AND s.hash = p.hash
    UNION ALL
    SELECT l.*
    FROM loose AS l SEMI JOIN crowded AS o
      ON l.chain = o.chain AND l.time = o.time AND l.asset = o.asset AND l.kind = o.kind AND l.part = o.part
     AND l.hash IS NOT DISTINCT FROM o.hash
    WHERE NOT l.hashed
),
content AS (
    SELECT transfer, array_to_string(list_sort(list(concat_ws(' ', side, address, amount))), ',') AS legs
    FROM leg SEMI JOIN suspect USING (transfer)
    GROUP BY transfer
),
numbered AS (
    SELECT s.*, o.legs,
           row_number() OVER (
               PARTITION BY s.keyed, s.chain, s.time, s.asset, s.kind, s.part, s.hash, o.legs, s.batch
               ORDER BY s.transfer
           ) AS repetition,
           -- What is compared with other files: of a transaction hash on an account chain less than all.
           if(s.hashed, NULL, (s.time, s.kind, s.part)) AS rest
    FROM suspect AS s LEFT JOIN content AS o ON o.transfer = s.transfer
),
counted AS (
    SELECT *,
           row_number() OVER (
               PARTITION BY keyed, chain, asset, hash, legs, rest, batch ORDER BY transfer
           ) AS occurrence,
           count(*) FILTER (keyed) OVER (PARTITION BY chain, asset, hash, legs, rest) AS in_blocks
    FROM numbered
),
compared AS (
    SELECT *,
           coalesce(max(if(keyed, 0, occurrence)) OVER (
               PARTITION BY chain, asset, hash, legs, rest
               ORDER BY batch RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ), 0) AS in_a_file,
           row_number() OVER (PARTITION BY chain, hash, kind, part ORDER BY keyed DESC, transfer) AS place
    FROM counted
)
SELECT l.transfer, l.chain, coalesce(c.repetition > 1, FALSE) AS repeated,
       coalesce(if(c.utxo AND c.hashed, c.place > 1, c.occurrence <= greatest(c.in_blocks, c.in_a_file)), FALSE)
       AS duplicate
FROM loose AS l
LEFT JOIN compared AS c ON c.transfer = l.transfer
