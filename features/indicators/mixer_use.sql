-- A good part of what a wallet received comes straight from a mixer or CoinJoin, or of what it sent goes there.
WITH mixed AS (
    SELECT payer AS entity, seq, 'out' AS direction FROM payment WHERE payer_private AND payee_kind = 'mixer'
    UNION
    SELECT payee AS entity, seq, 'in' AS direction FROM payment WHERE payee_private AND payer_kind = 'mixer'
    UNION
    SELECT entity, seq, direction FROM movement WHERE coinjoin
),
touched AS (
    SELECT DISTINCT entity FROM mixed
),
flows AS (
    SELECT movement.*, mixed.seq IS NOT NULL AS mixing
    FROM movement
    JOIN touched ON touched.entity = movement.entity
    LEFT JOIN mixed ON mixed.entity = movement.entity AND mixed.seq = movement.seq
        AND mixed.direction = movement.direction
),
placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY entity, direction, asset, mixing ORDER BY amount DESC, seq) AS place
    FROM flows
),
sums AS (
    SELECT
        entity,
        direction,
        asset,
        count(*) FILTER (WHERE mixing) AS transfers,
        CAST(sum(CASE WHEN mixing THEN amount ELSE 0 END) AS DOUBLE) / CAST(sum(amount) AS DOUBLE) AS share,
        CAST(sum(CASE WHEN mixing THEN usd END) AS DOUBLE) / 1000000 AS total_usd,
        list_sort(list(seq) FILTER (WHERE mixing AND place <= 20)) AS evidence
    FROM placed
    GROUP BY entity, direction, asset
)
SELECT
    entity,
    share / (share + $mixed_share) AS strength,
    evidence,
    transfers AS evidence_count,
    CASE WHEN direction = 'in' THEN 'received' ELSE 'sent' END AS side,
    share AS mixed_share,
    total_usd
FROM sums
WHERE share >= $mixed_share AND total_usd >= $total_usd
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY share DESC, total_usd DESC, direction, evidence[1]) = 1
