-- A batch has the rows that its custody record counts. What a node's blocks replaced is counted there too; the
-- heights of a node's batch are those of its blocks, with or without transfers; and what nodes and indexers set
-- aside in blocks that have since been read anew is gone.
WITH moved AS (
    SELECT batch, count(*) AS transfers, count(*) FILTER (lossy) AS lossy, count(*) FILTER (repeated) AS repeated,
           bool_or(height IS NULL OR (position IS NULL AND hash IS NULL)) AS loose,
           min(height) AS first_height, max(height) AS last_height, min(time) AS first_time, max(time) AS last_time
    FROM transfer GROUP BY batch
),
sides AS (
    SELECT t.batch, count(*) AS legs FROM leg AS l JOIN transfer AS t ON t.transfer = l.transfer GROUP BY t.batch
),
aside AS (SELECT batch, count(*) AS quarantined FROM quarantine GROUP BY batch),
judged AS (
    SELECT b.chain, b.source, unnest([
        if(b.transfers <> coalesce(m.transfers, 0) + b.replaced,
           'counts ' || b.transfers || ' transfers, has ' || coalesce(m.transfers, 0)
           || if(b.replaced > 0, ' and ' || b.replaced || ' were replaced', ''), NULL),
        if(b.replaced = 0 AND b.legs <> coalesce(l.legs, 0),
           'counts ' || b.legs || ' legs, has ' || coalesce(l.legs, 0), NULL),
        if(b.replaced = 0 AND b.lossy <> coalesce(m.lossy, 0),
           'counts ' || b.lossy || ' rounded transfers, has ' || coalesce(m.lossy, 0), NULL),
        if(b.replaced = 0 AND b.repeated <> coalesce(m.repeated, 0),
           'counts ' || b.repeated || ' repeats, has ' || coalesce(m.repeated, 0), NULL),
        if(b.replaced = 0 AND b.loose <> coalesce(m.loose, FALSE),
           'is said to have rows without heights or not to, and the contrary holds', NULL),
        if(b.replaced = 0 AND if(b.layout = 'node', m.first_height < b.first_height OR m.last_height > b.last_height,
              (b.first_height, b.last_height) IS DISTINCT FROM (m.first_height, m.last_height)),
           'is said to reach from block ' || coalesce(b.first_height::VARCHAR, 'none') || ' to '
           || coalesce(b.last_height::VARCHAR, 'none') || ', reaches from ' || coalesce(m.first_height::VARCHAR, 'none')
           || ' to ' || coalesce(m.last_height::VARCHAR, 'none'), NULL),
        if(b.replaced = 0 AND b.layout <> 'node'
           AND (b.first_time, b.last_time) IS DISTINCT FROM (m.first_time, m.last_time),
           'is said to reach from ' || coalesce(b.first_time::VARCHAR, 'no time') || ' to '
           || coalesce(b.last_time::VARCHAR, 'none') || ', reaches from ' || coalesce(m.first_time::VARCHAR, 'no time')
           || ' to ' || coalesce(m.last_time::VARCHAR, 'none'), NULL),
        if(b.quarantined < coalesce(q.quarantined, 0)
           OR (b.quarantined > coalesce(q.quarantined, 0) AND b.layout <> 'node' AND b.layout NOT LIKE 'pull:%'),
           'counts ' || b.quarantined || ' rows set aside, has ' || coalesce(q.quarantined, 0), NULL)
    ]) AS fault
    FROM batch AS b
    LEFT JOIN moved AS m ON m.batch = b.batch
    LEFT JOIN sides AS l ON l.batch = b.batch
    LEFT JOIN aside AS q ON q.batch = b.batch
)
SELECT c.caip2 AS chain, NULL::BIGINT AS height, NULL::BLOB AS hash, NULL::VARCHAR AS account,
       'the batch ' || j.source || ' ' || j.fault AS what
FROM judged AS j LEFT JOIN chain AS c ON c.chain = j.chain
WHERE j.fault IS NOT NULL
