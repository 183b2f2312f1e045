-- How much and when an entity moved. One row per entity with a transfer before $as_of.
WITH flows AS (
    SELECT
        entity,
        asset,
        direction,
        CAST(time AS DATE) AS day,
        date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS seconds_ago
    FROM flow
    WHERE time < $as_of
),
days AS (
    SELECT entity, day, count(*) AS transfers
    FROM flows
    GROUP BY entity, day
),
calendar AS (
    SELECT
        entity,
        count(*) AS active_days,
        max(transfers) AS busiest_day,
        date_diff('day', min(day), max(day)) + 1 AS span_days
    FROM days
    GROUP BY entity
),
totals AS (
    SELECT
        entity,
        count(*) AS transfers,
        count(*) FILTER (WHERE direction = 'in') AS transfers_in,
        count(*) FILTER (WHERE direction = 'out') AS transfers_out,
        count(*) FILTER (WHERE seconds_ago <= 2592000) AS last_30_days,
        max(seconds_ago) AS first_ago,
        min(seconds_ago) AS last_ago,
        count(DISTINCT asset) AS assets
    FROM flows
    GROUP BY entity
)
SELECT
    totals.entity,
    transfers_in,
    transfers_out,
    CAST(transfers_in AS DOUBLE) / transfers AS receipt_count_share,
    CAST(first_ago AS DOUBLE) / 86400 AS age_days,
    CAST(last_ago AS DOUBLE) / 86400 AS dormancy_days,
    CAST(first_ago - last_ago AS DOUBLE) / 86400 AS active_span_days,
    active_days,
    CAST(active_days AS DOUBLE) / span_days AS active_days_share,
    CAST(transfers AS DOUBLE) / active_days AS transfers_per_active_day,
    CAST(busiest_day AS DOUBLE) / transfers AS busiest_day_share,
    CAST(last_30_days AS DOUBLE) / transfers AS last_30_days_share,
    assets
FROM totals
JOIN calendar ON calendar.entity = totals.entity
