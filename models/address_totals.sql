-- What the ledger holds of each address, in three steps so that each gives its memory back.
CREATE OR REPLACE TEMP TABLE address_total AS
WITH both_ways AS (  -- transfers that an address pays and is paid by: they are one move
    SELECT i.address, i.asset, count(*) AS moves
    FROM address_flow AS i JOIN address_flow AS o ON o.address = i.address AND o.seq = i.seq
    WHERE i.direction = 'in' AND o.direction = 'out'
    GROUP BY i.address, i.asset
),
per_asset AS (
    SELECT f.address, f.asset,
        min(f.time) AS first_seen, max(f.time) AS last_seen,
        count(*) - coalesce(any_value(b.moves), 0) AS moves,
        count(*) FILTER (WHERE f.direction = 'in') AS transfers_in,
        count(*) FILTER (WHERE f.direction = 'out') AS transfers_out,
        coalesce(sum(f.amount) FILTER (WHERE f.direction = 'in'), 0) AS received,
        coalesce(sum(f.amount) FILTER (WHERE f.direction = 'out'), 0) AS sent,
        count(f.usd) = count(*) AS priced,
        coalesce(sum(f.usd) FILTER (WHERE f.direction = 'in'), 0) AS received_usd,
        coalesce(sum(f.usd) FILTER (WHERE f.direction = 'out'), 0) AS sent_usd
    FROM address_flow AS f
    LEFT JOIN both_ways AS b ON b.address = f.address AND b.asset = f.asset
    GROUP BY f.address, f.asset
)
SELECT p.address, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    CAST(sum(transfers_in) AS BIGINT) AS transfers_in,
    CAST(sum(transfers_out) AS BIGINT) AS transfers_out,
    arg_min(n.number, (-moves, n.number)) AS asset,
    arg_min(received, (-moves, n.number)) AS received,
    arg_min(sent, (-moves, n.number)) AS sent,
    CASE WHEN bool_and(priced) THEN try_cast(sum(received_usd) AS BIGINT) END AS received_usd,
    CASE WHEN bool_and(priced) THEN try_cast(sum(sent_usd) AS BIGINT) END AS sent_usd,
    CAST(count(*) AS INTEGER) AS assets
FROM per_asset AS p JOIN asset_number AS n ON n.asset = p.asset
GROUP BY p.address;

CREATE OR REPLACE TEMP TABLE entity_total AS
SELECT entity, count(*) AS counterparties
FROM (SELECT payer AS entity, payee AS other FROM edge UNION SELECT payee, payer FROM edge)
GROUP BY entity;

CREATE OR REPLACE TEMP TABLE address_height AS
SELECT l.address, max(t.height) AS height
FROM seen_leg AS l JOIN seen_transfer AS t ON t.seq = l.seq
GROUP BY l.address;
