-- At what hours and at what pace an entity moves. One row per entity with a transfer before $as_of.
-- Moments are counted backwards from $as_of in whole seconds; 1970-01-05 was a Monday.
WITH flows AS (
    SELECT
        entity,
        seq,
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
        moment - lag(moment) OVER (PARTITION BY entity ORDER BY moment, seq, direction DESC) AS interval,
        CASE
            WHEN direction = 'in' THEN
                moment - max(CASE WHEN direction = 'in' THEN moment END) OVER (
                    PARTITION BY entity ORDER BY moment, seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                )
            ELSE
                moment - max(CASE WHEN direction = 'out' THEN moment END) OVER (
                    PARTITION BY entity ORDER BY moment, seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                )
        END AS same_side_interval,
        CASE
            WHEN direction = 'in' THEN
                min(CASE WHEN direction = 'out' THEN moment END) OVER (
                    PARTITION BY entity ORDER BY moment, seq, direction DESC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) - moment
        END AS dwell
    FROM flows
),
waits AS (
    SELECT entity, 'any' AS kind, interval AS seconds FROM steps WHERE interval IS NOT NULL
    UNION ALL
    SELECT entity, direction AS kind, same_side_interval AS seconds FROM steps WHERE same_side_interval IS NOT NULL
    UNION ALL
    SELECT entity, 'dwell' AS kind, dwell AS seconds FROM steps WHERE dwell IS NOT NULL
),
ranks AS (
    SELECT
        entity,
        kind,
        seconds,
        row_number() OVER (PARTITION BY entity, kind ORDER BY seconds) AS place,
        count(*) OVER (PARTITION BY entity, kind) AS places
    FROM waits
),
pace AS (
    SELECT
        entity,
        count(*) FILTER (WHERE kind = 'any') AS intervals,
        CAST(sum(CASE WHEN kind = 'any' THEN seconds ELSE 0 END) AS DOUBLE) AS total,
        CAST(sum(CASE WHEN kind = 'any' THEN seconds * seconds ELSE 0 END) AS DOUBLE) AS squares,
        count(*) FILTER (WHERE kind = 'any' AND seconds < 60) AS within_minute,
        count(*) FILTER (WHERE kind = 'dwell' AND seconds <= 3600) AS within_hour,
        min(CASE WHEN kind = 'any' AND 2 * place >= places THEN seconds END) AS median,
        min(CASE WHEN kind = 'any' AND 10 * place >= 9 * places THEN seconds END) AS p90,
        min(CASE WHEN kind = 'in' AND 2 * place >= places THEN seconds END) AS receipt_median,
        min(CASE WHEN kind = 'out' AND 2 * place >= places THEN seconds END) AS payment_median,
        min(CASE WHEN kind = 'dwell' AND 2 * place >= places THEN seconds END) AS dwell_median
    FROM ranks
    GROUP BY entity
),
-- Standard deviation and mean of the intervals, both times their number.
spread AS (
    SELECT
        entity,
        total AS mean,
        sqrt(greatest(intervals * squares - total * total, 0)) AS deviation
    FROM pace
    WHERE intervals >= 2
)
SELECT
    clock.entity,
    CAST(hours_00_06 AS DOUBLE) / clock.transfers AS hours_00_06_share,
    CAST(hours_06_12 AS DOUBLE) / clock.transfers AS hours_06_12_share,
    CAST(hours_12_18 AS DOUBLE) / clock.transfers AS hours_12_18_share,
    CAST(weekend AS DOUBLE) / clock.transfers AS weekend_share,
    clock.transfers * clock.transfers / transfer_squares AS hour_spread,
    clock.payments * clock.payments / nullif(payment_squares, 0) AS payment_hour_spread,
    pace.median AS interval_median_seconds,
    pace.p90 AS interval_p90_seconds,
    pace.receipt_median AS receipt_interval_median_seconds,
    pace.payment_median AS payment_interval_median_seconds,
    (spread.deviation - spread.mean) / nullif(spread.deviation + spread.mean, 0) AS burstiness,
    CAST(pace.within_minute AS DOUBLE) / pace.intervals AS within_minute_share,
    pace.dwell_median AS dwell_median_seconds,
    CAST(coalesce(pace.within_hour, 0) AS DOUBLE)
        / nullif(clock.transfers - clock.payments, 0) AS paid_on_within_hour_share
FROM clock
LEFT JOIN pace ON pace.entity = clock.entity
LEFT JOIN spread ON spread.entity = clock.entity
