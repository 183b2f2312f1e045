-- The heights at which a node told every transfer of a kind: there no file and no indexer adds to them.

CREATE TABLE told (
    chain SMALLINT NOT NULL,
    kind transfer_kind NOT NULL,
    first_height BIGINT NOT NULL,
    last_height BIGINT NOT NULL
);

-- What was read before is known to be whole but for the calls inside transactions, and of TRON tokens alone.
INSERT INTO told (chain, kind, first_height, last_height)
SELECT s.chain, k.kind::transfer_kind, s.first_height, s.last_height
FROM synced AS s
JOIN chain AS c ON c.chain = s.chain
CROSS JOIN (SELECT unnest(['reward', 'native', 'token', 'fee', 'withdrawal']) AS kind) AS k
WHERE k.kind = 'token' OR NOT starts_with(c.caip2, 'tron:');

INSERT INTO told (chain, kind, first_height, last_height)
SELECT s.chain, 'internal', s.first_height, s.last_height
FROM synced AS s
JOIN chain AS c ON c.chain = s.chain
WHERE starts_with(c.caip2, 'eip155:') AND NOT EXISTS (
    FROM batch AS b
    WHERE b.chain = s.chain AND b.layout = 'node' AND json_extract_string(b.mapping, '$.internal') = 'none'
);

ALTER TABLE assumed ADD COLUMN receipts BOOLEAN;  -- whether receipts were beside it, but not for these rows
