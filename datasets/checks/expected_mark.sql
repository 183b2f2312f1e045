-- How each transfer without a natural key is to be marked, recomputed from the rows alone (datasets/overlap.py
-- says why): the second and later ones of one content in a batch are repeated; the k-th is a duplicate where an
-- earlier batch has k of them; on a UTXO chain a transaction counts once, with its height where one is known.
WITH placed AS (
    SELECT t.transfer, t.chain, t.batch, t.time, t.asset, t.kind, t.part, t.hash,
           t.height IS NOT NULL AND (t.position IS NOT NULL OR t.hash IS NOT NULL) AS keyed, c.utxo
    FROM transfer AS t JOIN chain AS c ON c.chain = t.chain
),
loose AS (FROM placed WHERE NOT keyed),
crowded AS (  -- cheap first: what is alone by all but its legs repeats nothing
    SELECT chain, time, asset, kind, part, hash FROM loose GROUP BY ALL HAVING count(*) > 1
),
suspect AS (
    SELECT l.*
    FROM loose AS l SEMI JOIN crowded AS o
      ON l.chain = o.chain AND l.time = o.time AND l.asset = o.asset AND l.kind = o.kind AND l.part = o.part
     AND l.hash IS NOT DISTINCT FROM o.hash
),
content AS (
    SELECT transfer, array_to_string(list_sort(list(concat_ws(' ', side, address, amount))), ',') AS legs
    FROM leg SEMI JOIN suspect USING (transfer)
    GROUP BY transfer
),
numbered AS (
    SELECT s.*, o.legs, row_number() OVER (
        PARTITION BY s.chain, s.time, s.asset, s.kind, s.part, s.hash, o.legs, s.batch ORDER BY s.transfer
    ) AS occurrence
    FROM suspect AS s LEFT JOIN content AS o ON o.transfer = s.transfer
),
repeats AS (
    SELECT transfer, occurrence > 1 AS repeated, occurrence <= coalesce(max(occurrence) OVER (
        PARTITION BY chain, time, asset, kind, part, hash, legs
        ORDER BY batch RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS duplicate
    FROM numbered
),
known AS (
    SELECT p.transfer, NOT p.keyed AND row_number() OVER (
        PARTITION BY p.chain, p.hash, p.kind, p.part ORDER BY p.keyed DESC, p.transfer
    ) > 1 AS duplicate
    FROM placed AS p
    SEMI JOIN (FROM loose WHERE utxo AND hash IS NOT NULL) AS l ON l.chain = p.chain AND l.hash = p.hash
    WHERE p.utxo
)
SELECT l.transfer, l.chain, coalesce(r.repeated, FALSE) AS repeated,
       coalesce(r.duplicate, FALSE) OR coalesce(k.duplicate, FALSE) AS duplicate
FROM loose AS l
LEFT JOIN repeats AS r ON r.transfer = l.transfer
LEFT JOIN known AS k ON k.transfer = l.transfer
