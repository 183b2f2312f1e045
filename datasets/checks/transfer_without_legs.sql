-- Every transfer has legs.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer of ' || coalesce(s.reference, 'an unknown asset') || ' has no legs' AS what
FROM transfer AS t
LEFT JOIN chain AS c ON c.chain = t.chain
LEFT JOIN asset AS s ON s.asset = t.asset
WHERE t.transfer NOT IN (SELECT transfer FROM leg)
