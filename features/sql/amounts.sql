-- The sizes of what an entity receives and pays. One row per entity with a transfer before $as_of.
-- usd is in micro-USD and NULL where unknown. A quantile is the smallest value that reaches it.
WITH flows AS (
    SELECT
        entity,
        seq,
        asset,
        direction,
        usd,
        least(amount, 10000000000000000000000000000000) AS amount
    FROM flow
    WHERE time < $as_of
),
main_asset AS (
    SELECT entity, asset
    FROM (
        SELECT
            entity,
            asset,
            row_number() OVER (PARTITION BY entity ORDER BY count(*) DESC, min(seq)) AS place
        FROM flows
        GROUP BY entity, asset
    ) AS assets
    WHERE place = 1
),
dollars AS (
    SELECT
        entity,
        sum(CASE WHEN direction = 'in' THEN usd END) AS received,
        sum(CASE WHEN direction = 'out' THEN usd END) AS sent,
        count(*) AS transfers,
        count(*) FILTER (WHERE direction = 'in') AS receipts,
        count(*) FILTER (WHERE direction = 'in' AND usd >= 10000000 AND usd < 500000000) AS retail,
        count(*) FILTER (WHERE direction = 'in' AND usd >= 1000000000) AS wholesale,
        count(*) FILTER (
            WHERE (usd >= 900000000 AND usd < 1000000000) OR (usd >= 9000000000 AND usd < 10000000000)
        ) AS under_limit,
        count(*) FILTER (WHERE direction = 'in' AND usd >= 9900000) AS of_ten,
        count(*) FILTER (WHERE direction = 'in' AND usd >= 9900000 AND (usd + 100000) % 10000000 <= 200000) AS tens
    FROM flows
    WHERE usd IS NOT NULL
    GROUP BY entity
),
dollar_sizes AS (
    SELECT
        entity,
        direction,
        CAST(list_sort(list(usd))[(count(*) + 1) // 2] AS DOUBLE) AS p50,
        CAST(list_sort(list(usd))[(9 * count(*) + 9) // 10] AS DOUBLE) AS p90
    FROM flows
    WHERE usd IS NOT NULL
    GROUP BY entity, direction
),
round_receipts AS (
    SELECT entity, count(*) AS receipts, count(*) FILTER (WHERE digits <= 2) AS round
    FROM (
        SELECT
            entity,
            CASE
                WHEN amount < 100 THEN 2
                WHEN amount % 10 <> 0 THEN 3
                ELSE length(rtrim(CAST(amount AS VARCHAR), '0'))
            END AS digits
        FROM flows
        WHERE direction = 'in'
    ) AS written
    GROUP BY entity
),
-- Payments are read off the edges: there a network fee does not make a round sum crooked.
round_payments AS (
    SELECT entity, count(*) AS payments, count(*) FILTER (WHERE digits <= 2) AS round
    FROM (
        SELECT
            payer AS entity,
            CASE
                WHEN amount < 100 THEN 2
                WHEN amount % 10 <> 0 THEN 3
                ELSE length(rtrim(CAST(amount AS VARCHAR), '0'))
            END AS digits
        FROM edge
        WHERE time < $as_of
    ) AS written
    GROUP BY entity
),
main_flows AS (
    SELECT flows.entity, flows.direction, flows.amount
    FROM flows
    JOIN main_asset ON main_asset.entity = flows.entity AND main_asset.asset = flows.asset
),
sizes AS (
    SELECT
        entity,
        direction,
        count(*) AS transfers,
        CAST(sum(amount) AS DOUBLE) AS total,
        CAST(max(amount) AS DOUBLE) AS largest,
        CAST(list_sort(list(amount))[(count(*) + 3) // 4] AS DOUBLE) AS p25,
        CAST(list_sort(list(amount))[(count(*) + 1) // 2] AS DOUBLE) AS p50,
        CAST(list_sort(list(amount))[(3 * count(*) + 3) // 4] AS DOUBLE) AS p75,
        CAST(list_sort(list(amount))[(9 * count(*) + 9) // 10] AS DOUBLE) AS p90
    FROM main_flows
    GROUP BY entity, direction
),
same_amount AS (
    SELECT entity, max(transfers) AS transfers
    FROM (
        SELECT entity, amount, count(*) AS transfers
        FROM main_flows
        WHERE direction = 'in'
        GROUP BY entity, amount
    ) AS amounts
    GROUP BY entity
)
SELECT
    main_asset.entity,
    CAST(dollars.received AS DOUBLE) / 1000000 AS received_usd,
    CAST(dollars.sent AS DOUBLE) / 1000000 AS sent_usd,
    receipt_usd.p50 / 1000000 AS receipt_median_usd,
    receipt_usd.p90 / 1000000 AS receipt_p90_usd,
    payment_usd.p50 / 1000000 AS payment_median_usd,
    payment_usd.p90 / 1000000 AS payment_p90_usd,
    CAST(dollars.retail AS DOUBLE) / nullif(dollars.receipts, 0) AS retail_receipt_share,
    CAST(dollars.wholesale AS DOUBLE) / nullif(dollars.receipts, 0) AS wholesale_receipt_share,
    CAST(dollars.under_limit AS DOUBLE) / dollars.transfers AS under_limit_share,
    CAST(dollars.tens AS DOUBLE) / nullif(dollars.of_ten, 0) AS round_usd_receipt_share,
    CAST(round_receipts.round AS DOUBLE) / round_receipts.receipts AS round_receipt_share,
    CAST(round_payments.round AS DOUBLE) / round_payments.payments AS round_payment_share,
    (receipt.p75 - receipt.p25) / (receipt.p75 + receipt.p25) AS receipt_dispersion,
    (payment.p75 - payment.p25) / (payment.p75 + payment.p25) AS payment_dispersion,
    receipt.p90 / receipt.p50 AS receipt_p90_to_median,
    payment.p50 / receipt.p50 AS payment_to_receipt_median,
    receipt.largest / receipt.total AS largest_receipt_share,
    payment.largest / payment.total AS largest_payment_share,
    CAST(same_amount.transfers AS DOUBLE) / receipt.transfers AS same_amount_receipt_share
FROM main_asset
LEFT JOIN round_receipts ON round_receipts.entity = main_asset.entity
LEFT JOIN dollars ON dollars.entity = main_asset.entity
LEFT JOIN dollar_sizes AS receipt_usd ON receipt_usd.entity = main_asset.entity AND receipt_usd.direction = 'in'
LEFT JOIN dollar_sizes AS payment_usd ON payment_usd.entity = main_asset.entity AND payment_usd.direction = 'out'
LEFT JOIN round_payments ON round_payments.entity = main_asset.entity
LEFT JOIN sizes AS receipt ON receipt.entity = main_asset.entity AND receipt.direction = 'in'
LEFT JOIN sizes AS payment ON payment.entity = main_asset.entity AND payment.direction = 'out'
LEFT JOIN same_amount ON same_amount.entity = main_asset.entity
