-- What a row names is there, and is of the same chain.
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       'the transfer''s ' || CASE
           WHEN c.chain IS NULL THEN 'chain is not there'
           WHEN s.asset IS NULL THEN 'asset is not there'
           WHEN s.chain <> t.chain THEN 'asset is of another chain'
           WHEN b.batch IS NULL THEN 'batch is not there'
           ELSE 'batch is of another chain'
       END AS what
FROM transfer AS t
LEFT JOIN chain AS c ON c.chain = t.chain
LEFT JOIN asset AS s ON s.asset = t.asset
LEFT JOIN batch AS b ON b.batch = t.batch
WHERE c.chain IS NULL OR s.asset IS NULL OR b.batch IS NULL OR s.chain <> t.chain OR b.chain <> t.chain
UNION ALL
SELECT c.caip2, t.height, t.hash, a.account,
       'the ' || l.side || '''s address is ' || if(a.address IS NULL, 'not there', 'of another chain')
FROM leg AS l
JOIN transfer AS t ON t.transfer = l.transfer
LEFT JOIN chain AS c ON c.chain = t.chain
LEFT JOIN address AS a ON a.address = l.address
WHERE a.address IS NULL OR a.chain <> t.chain
UNION ALL
SELECT c.caip2, f.height, f.hash, a.account,
       'the freeze''s ' || CASE
           WHEN c.chain IS NULL THEN 'chain is not there'
           WHEN s.asset IS NULL THEN 'asset is not there'
           WHEN s.chain <> f.chain THEN 'asset is of another chain'
           WHEN b.batch IS NULL THEN 'batch is not there'
           WHEN b.chain <> f.chain THEN 'batch is of another chain'
           WHEN a.address IS NULL THEN 'address is not there'
           ELSE 'address is of another chain'
       END
FROM freeze_event AS f
LEFT JOIN chain AS c ON c.chain = f.chain
LEFT JOIN asset AS s ON s.asset = f.asset
LEFT JOIN batch AS b ON b.batch = f.batch
LEFT JOIN address AS a ON a.address = f.address
WHERE c.chain IS NULL OR s.asset IS NULL OR b.batch IS NULL OR a.address IS NULL
   OR s.chain <> f.chain OR b.chain <> f.chain OR a.chain <> f.chain
UNION ALL
SELECT c.caip2, NULL, NULL, a.account,
       'the label''s ' || CASE
           WHEN g.label_file IS NULL THEN 'file is not there'
           WHEN a.address IS NULL THEN 'address is not there'
           ELSE 'address is of another chain'
       END || ' (' || l.source || ', ' || l.position || ')'
FROM label AS l
LEFT JOIN chain AS c ON c.chain = l.chain
LEFT JOIN address AS a ON a.address = l.address
LEFT JOIN label_file AS g ON g.label_file = l.label_file
WHERE a.address IS NULL OR a.chain <> l.chain OR g.label_file IS NULL
UNION ALL
SELECT c.caip2, p.last_height, NULL, a.account,
       'the pulled history''s address is ' || if(a.address IS NULL, 'not there', 'of another chain')
FROM pulled AS p
LEFT JOIN chain AS c ON c.chain = p.chain
LEFT JOIN address AS a ON a.address = p.address
WHERE a.address IS NULL OR a.chain <> p.chain
UNION ALL
SELECT NULL, q.height, NULL, NULL, 'a row set aside (' || q.reason || ') is of no batch'
FROM quarantine AS q
WHERE q.batch NOT IN (SELECT batch FROM batch)
UNION ALL
SELECT NULL, NULL, NULL, account, 'the address is of no chain'
FROM address WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, NULL, NULL, NULL, 'the asset ' || reference || ' is of no chain'
FROM asset WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, NULL, NULL, NULL, 'the batch ' || source || ' is of no chain'
FROM batch WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, height, hash, NULL, 'the block is of no chain'
FROM block WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, first_height, NULL, NULL, 'the stretch to ' || last_height || ' is of no chain'
FROM synced WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, height, NULL, NULL, 'the head of a node is of no chain'
FROM node_head WHERE chain NOT IN (SELECT chain FROM chain)
UNION ALL
SELECT NULL, NULL, NULL, NULL, 'the price of ' || reference || ' on ' || day || ' is of no chain'
FROM price WHERE chain NOT IN (SELECT chain FROM chain)
