-- A row of a file is set aside or makes transfers, never both.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       'row ' || q.row || ' of ' || b.source || ' was set aside (' || q.reason || ') and made a transfer too' AS what
FROM quarantine AS q
JOIN batch AS b ON b.batch = q.batch
JOIN transfer AS t ON t.batch = q.batch AND t.row = q.row
LEFT JOIN chain AS c ON c.chain = b.chain
WHERE q.height IS NULL
