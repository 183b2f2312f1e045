-- What comes in leaves again in one payment within a day, time after time, and little ever stays.
WITH passed AS (
    SELECT
        entity,
        asset,
        seq,
        first_in_seq,
        received,
        usd,
        moment - last_in_moment AS wait,
        row_number() OVER (PARTITION BY entity, asset ORDER BY received DESC, seq) AS place
    FROM relay
    WHERE CAST(amount AS DOUBLE) >= $passed_share * CAST(received AS DOUBLE)
        AND amount <= received
        AND moment - first_in_moment <= 3600 * $hours
),
sums AS (
    SELECT
        entity,
        asset,
        count(*) AS times,
        CAST(sum(received) AS DOUBLE) AS passed,
        CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd,
        list_sort(list_distinct(list(seq) FILTER (WHERE place <= 10))) AS payments,
        list_sort(list_distinct(list(first_in_seq) FILTER (WHERE place <= 10))) AS receipts,
        list_sort(list(wait))[(count(*) + 1) // 2] AS wait
    FROM passed
    GROUP BY entity, asset
    HAVING count(*) >= $times AND sum(usd) >= 1000000 * $total_usd
),
received AS (
    SELECT movement.entity, movement.asset, CAST(sum(movement.amount) AS DOUBLE) AS amount
    FROM movement
    JOIN sums ON sums.entity = movement.entity AND sums.asset = movement.asset
    WHERE movement.direction = 'in'
    GROUP BY movement.entity, movement.asset
)
SELECT
    sums.entity,
    CAST(times AS DOUBLE) / (times + $times) AS strength,
    list_sort(list_concat(receipts, payments)) AS evidence,
    2 * times AS evidence_count,
    times,
    passed / received.amount AS passed_share,
    CAST(wait AS DOUBLE) / 3600 AS wait_hours,
    total_usd
FROM sums
JOIN received ON received.entity = sums.entity AND received.asset = sums.asset
WHERE passed >= $whole_share * received.amount
QUALIFY row_number() OVER (PARTITION BY sums.entity ORDER BY times DESC, payments[1]) = 1
