-- A new wallet whose first receipt is large, and which pays nearly all of it away within days.
WITH opened AS (
    SELECT movement.entity, movement.asset, movement.seq, movement.moment, movement.usd
    FROM movement
    JOIN party ON party.entity = movement.entity AND party.first_seq = movement.seq
    WHERE movement.direction = 'in' AND movement.usd >= 1000000 * $first_usd
),
days AS (
    SELECT
        opened.entity,
        opened.usd AS first_usd,
        opened.moment AS opening,
        later.seq,
        later.moment,
        later.direction,
        later.amount,
        row_number() OVER (
            PARTITION BY opened.entity
            ORDER BY CASE WHEN later.seq = opened.seq THEN 0 ELSE 1 END, later.amount DESC, later.seq
        ) AS place
    FROM opened
    JOIN movement AS later ON later.entity = opened.entity AND later.asset = opened.asset
    WHERE later.moment <= opened.moment + 3600 * $hours
),
sums AS (
    SELECT
        entity,
        max(first_usd) AS first_usd,
        CAST(sum(CASE WHEN direction = 'in' THEN amount ELSE 0 END) AS DOUBLE) AS received,
        CAST(sum(CASE WHEN direction = 'out' THEN amount ELSE 0 END) AS DOUBLE) AS paid,
        max(moment) - min(opening) AS seconds,
        list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
        count(*) AS transfers
    FROM days
    GROUP BY entity
)
SELECT
    entity,
    CAST(first_usd AS DOUBLE) / 1000000 / (CAST(first_usd AS DOUBLE) / 1000000 + $first_usd) AS strength,
    evidence,
    transfers AS evidence_count,
    CAST(first_usd AS DOUBLE) / 1000000 AS first_usd,
    paid / received AS passed_share,
    CAST(seconds AS DOUBLE) / 3600 AS hours
FROM sums
WHERE paid >= $passed_share * received
