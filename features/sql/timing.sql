-- At what hours and at what pace an entity moves. One row per entity with a transfer before $as_of.
-- Moments are counted from $as_of in whole seconds; 1970-01-05 was a Monday.
-- A quantile is the smallest value that reaches it.
-- `turn` puts the transfers of an entity in order, and within one what it paid before what it received.
WITH flows AS (
    SELECT
        entity,
        2 * seq + CASE WHEN direction = 'in' THEN 1 ELSE 0 END AS turn,
        direction,
        extract(hour FROM time) AS hour,
        date_diff('day', DATE '1970-01-05', CAST(time AS DATE)) % 7 AS weekday,
        -date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS moment
    FROM flow
    WHERE time < $as_of
),
hours AS (
    SELECT
        entity,
        hour,
        count(*) AS transfers,
        count(*) FILTER (WHERE direction = 'out') AS payments,
        count(*) FILTER (WHERE weekday >= 5) AS weekend
    FROM flows
    GROUP BY entity, hour
),
clock AS (
    SELECT
        entity,
        CAST(sum(transfers) AS DOUBLE) AS transfers,
        CAST(sum(payments) AS DOUBLE) AS payments,
        sum(CASE WHEN hour < 6 THEN transfers ELSE 0 END) AS hours_00_06,
        sum(CASE WHEN hour >= 6 AND hour < 12 THEN transfers ELSE 0 END) AS hours_06_12,
        sum(CASE WHEN hour >= 12 AND hour < 18 THEN transfers ELSE 0 END) AS hours_12_18,
        sum(weekend) AS weekend,
        CAST(sum(transfers * transfers) AS DOUBLE) AS transfer_squares,
        CAST(sum(payments * payments) AS DOUBLE) AS payment_squares
    FROM hours
    GROUP BY entity
),
steps AS (
    SELECT
        entity,
        direction,
        moment - lag(moment) OVER (PARTITION BY entity ORDER BY moment, turn) AS wait,
        moment - lag(moment) OVER (PARTITION BY entity, direction ORDER BY moment, turn) AS side_wait,
        CASE
            WHEN direction = 'in' THEN
                first_value(CASE WHEN direction = 'out' THEN moment END IGNORE NULLS) OVER (
                    PARTITION BY entity ORDER BY moment, turn
                    ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) - moment
        END AS dwell
    FROM flows
),
pace AS (
    SELECT
        entity,
        count(wait) AS waits,
        CAST(sum(wait) AS DOUBLE) AS total,
        CAST(sum(wait * wait) AS DOUBLE) AS squares,
        count(*) FILTER (WHERE wait < 60) AS within_minute,
        count(*) FILTER (WHERE dwell <= 3600) AS within_hour
    FROM steps
    GROUP BY entity
),
waits AS (
    SELECT
        entity,
        list_sort(list(wait))[(count(*) + 1) // 2] AS p50,
        list_sort(list(wait))[(9 * count(*) + 9) // 10] AS p90
    FROM steps
    WHERE wait IS NOT NULL
    GROUP BY entity
),
side_waits AS (
    SELECT entity, direction, list_sort(list(side_wait))[(count(*) + 1) // 2] AS p50
    FROM steps
    WHERE side_wait IS NOT NULL
    GROUP BY entity, direction
),
dwells AS (
    SELECT entity, list_sort(list(dwell))[(count(*) + 1) // 2] AS p50
    FROM steps
    WHERE dwell IS NOT NULL
    GROUP BY entity
),
-- Standard deviation and mean of the waits, both times their number.
spread AS (
    SELECT
        entity,
        total AS mean,
        sqrt(greatest(waits * squares - total * total, 0)) AS deviation
    FROM pace
    WHERE waits >= 2
)
SELECT
    clock.entity,
    CAST(hours_00_06 AS DOUBLE) / clock.transfers AS hours_00_06_share,
    CAST(hours_06_12 AS DOUBLE) / clock.transfers AS hours_06_12_share,
    CAST(hours_12_18 AS DOUBLE) / clock.transfers AS hours_12_18_share,
    CAST(weekend AS DOUBLE) / clock.transfers AS weekend_share,
    clock.transfers * clock.transfers / transfer_squares AS hour_spread,
    clock.payments * clock.payments / nullif(payment_squares, 0) AS payment_hour_spread,
    waits.p50 AS interval_median_seconds,
    waits.p90 AS interval_p90_seconds,
    receipt_waits.p50 AS receipt_interval_median_seconds,
    payment_waits.p50 AS payment_interval_median_seconds,
    (spread.deviation - spread.mean) / nullif(spread.deviation + spread.mean, 0) AS burstiness,
    CAST(pace.within_minute AS DOUBLE) / nullif(pace.waits, 0) AS within_minute_share,
    dwells.p50 AS dwell_median_seconds,
    CAST(pace.within_hour AS DOUBLE) / nullif(clock.transfers - clock.payments, 0) AS paid_on_within_hour_share
FROM clock
JOIN pace ON pace.entity = clock.entity
LEFT JOIN waits ON waits.entity = clock.entity
LEFT JOIN side_waits AS receipt_waits ON receipt_waits.entity = clock.entity AND receipt_waits.direction = 'in'
LEFT JOIN side_waits AS payment_waits ON payment_waits.entity = clock.entity AND payment_waits.direction = 'out'
LEFT JOIN dwells ON dwells.entity = clock.entity
LEFT JOIN spread ON spread.entity = clock.entity
