-- Whom an entity deals with. One row per entity with a transfer before $as_of.
-- A median is the smallest value that reaches the half.
-- What counterparties do with others is told by those whose whole history was read, and is unknown where they
-- are fewer than half.
-- Squares for the Herfindahl index are of whole parts per billion, so that their sum is exact.
WITH flows AS (
    SELECT
        entity,
        seq,
        asset,
        date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS seconds_ago
    FROM flow
    WHERE time < $as_of
),
edges AS (
    SELECT
        payer,
        payee,
        seq,
        asset,
        least(amount, 10000000000000000000000000000000) AS amount,
        date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS seconds_ago
    FROM edge
    WHERE time < $as_of
),
per_asset AS (
    SELECT
        entity,
        asset,
        count(*) AS transfers,
        min(seq) AS first_seq,
        max(seconds_ago) AS first_ago
    FROM flows
    GROUP BY entity, asset
),
main_asset AS (
    SELECT entity, asset
    FROM (
        SELECT
            entity,
            asset,
            row_number() OVER (PARTITION BY entity ORDER BY transfers DESC, first_seq) AS place
        FROM per_asset
    ) AS assets
    WHERE place = 1
),
first_seen AS (
    SELECT entity, min(first_seq) AS first_seq, max(first_ago) AS first_ago
    FROM per_asset
    GROUP BY entity
),
pairs AS (
    SELECT
        payer,
        payee,
        count(*) AS transfers,
        min(seq) AS first_seq,
        max(seconds_ago) AS first_ago,
        min(seconds_ago) AS last_ago
    FROM edges
    GROUP BY payer, payee
),
payer_fans AS (
    SELECT payer AS entity, count(*) AS payees
    FROM pairs
    GROUP BY payer
),
payee_fans AS (
    SELECT payee AS entity, count(*) AS payers
    FROM pairs
    GROUP BY payee
),
-- What each payer is to the entity it pays.
payer_ranks AS (
    SELECT
        pairs.payee AS entity,
        pairs.transfers,
        pairs.first_ago,
        pairs.last_ago,
        pairs.first_seq,
        payer_fans.payees,
        whole_history.entity IS NOT NULL AS whole,
        first_seen.first_ago - pairs.first_ago AS payer_age,
        min(pairs.first_seq) OVER (PARTITION BY pairs.payee) AS opening_seq
    FROM pairs
    JOIN payer_fans ON payer_fans.entity = pairs.payer
    JOIN first_seen ON first_seen.entity = pairs.payer
    LEFT JOIN whole_history ON whole_history.entity = pairs.payer
),
payer_side AS (
    SELECT
        entity,
        count(*) AS payers,
        sum(transfers) AS receipts,
        count(*) FILTER (WHERE transfers = 1) AS one_time,
        count(*) FILTER (WHERE last_ago <= 2592000) AS recent,
        count(*) FILTER (WHERE first_ago <= 2592000) AS new,
        count(*) FILTER (WHERE whole) AS whole,
        count(*) FILTER (WHERE whole AND payer_age < 604800) AS young,
        max(CASE WHEN first_seq = opening_seq AND whole THEN payees END) AS opener_payees,
        list_sort(list(payees) FILTER (WHERE whole))[(count(*) FILTER (WHERE whole) + 1) // 2] AS payees_median
    FROM payer_ranks
    GROUP BY entity
),
payee_ranks AS (
    SELECT
        pairs.payer AS entity,
        pairs.transfers,
        pairs.first_ago,
        pairs.last_ago,
        pairs.first_seq,
        payee_fans.payers,
        whole_history.entity IS NOT NULL AS whole,
        first_seen.first_seq AS payee_first_seq
    FROM pairs
    JOIN payee_fans ON payee_fans.entity = pairs.payee
    JOIN first_seen ON first_seen.entity = pairs.payee
    LEFT JOIN whole_history ON whole_history.entity = pairs.payee
),
payee_side AS (
    SELECT
        entity,
        count(*) AS payees,
        sum(transfers) AS payments,
        count(*) FILTER (WHERE last_ago <= 2592000) AS recent,
        count(*) FILTER (WHERE first_ago <= 2592000) AS new,
        count(*) FILTER (WHERE whole) AS whole,
        count(*) FILTER (WHERE whole AND payee_first_seq >= first_seq) AS fresh,
        list_sort(list(payers) FILTER (WHERE whole))[(count(*) FILTER (WHERE whole) + 1) // 2] AS payers_median
    FROM payee_ranks
    GROUP BY entity
),
-- Parts of the main asset, by payer and by payee.
payer_parts AS (
    SELECT
        payee AS entity,
        CAST(floor(1000000000 * (CAST(amount AS DOUBLE) / CAST(total AS DOUBLE))) AS BIGINT) AS part,
        CAST(amount AS DOUBLE) / CAST(total AS DOUBLE) AS share
    FROM (
        SELECT payee, payer, sum(amount) AS amount, sum(sum(amount)) OVER (PARTITION BY payee) AS total
        FROM edges
        JOIN main_asset ON main_asset.entity = edges.payee AND main_asset.asset = edges.asset
        GROUP BY payee, payer
    ) AS sums
),
payer_shares AS (
    SELECT entity, max(share) AS top, sum(part * part) AS squares
    FROM payer_parts
    GROUP BY entity
),
payee_parts AS (
    SELECT
        payer AS entity,
        CAST(floor(1000000000 * (CAST(amount AS DOUBLE) / CAST(total AS DOUBLE))) AS BIGINT) AS part,
        CAST(amount AS DOUBLE) / CAST(total AS DOUBLE) AS share
    FROM (
        SELECT payer, payee, sum(amount) AS amount, sum(sum(amount)) OVER (PARTITION BY payer) AS total
        FROM edges
        JOIN main_asset ON main_asset.entity = edges.payer AND main_asset.asset = edges.asset
        GROUP BY payer, payee
    ) AS sums
),
payee_shares AS (
    SELECT entity, max(share) AS top, sum(part * part) AS squares
    FROM payee_parts
    GROUP BY entity
),
-- Each counterparty once, whichever side it stands on.
partners AS (
    SELECT
        entity,
        count(*) AS sides,
        sum(transfers) AS transfers,
        row_number() OVER (PARTITION BY entity ORDER BY sum(transfers) DESC) AS place
    FROM (
        SELECT payee AS entity, payer AS partner, transfers FROM pairs
        UNION ALL
        SELECT payer AS entity, payee AS partner, transfers FROM pairs
    ) AS sides
    GROUP BY entity, partner
),
partner_totals AS (
    SELECT
        entity,
        count(*) AS partners,
        count(*) FILTER (WHERE sides = 2) AS reciprocal,
        sum(transfers) AS transfers,
        sum(CASE WHEN place <= 3 THEN transfers ELSE 0 END) AS top_3
    FROM partners
    GROUP BY entity
)
SELECT
    main_asset.entity,
    coalesce(payer_side.payers, 0) AS payers,
    coalesce(payee_side.payees, 0) AS payees,
    CAST(coalesce(payer_side.payers, 0) AS DOUBLE)
        / nullif(coalesce(payer_side.payers, 0) + coalesce(payee_side.payees, 0), 0) AS payer_side_share,
    CAST(payer_side.receipts AS DOUBLE) / payer_side.payers AS receipts_per_payer,
    CAST(payee_side.payments AS DOUBLE) / payee_side.payees AS payments_per_payee,
    CAST(payer_side.one_time AS DOUBLE) / payer_side.payers AS one_time_payer_share,
    CAST(payer_side.new AS DOUBLE) / nullif(payer_side.recent, 0) AS new_payer_share_30d,
    CAST(payee_side.new AS DOUBLE) / nullif(payee_side.recent, 0) AS new_payee_share_30d,
    payer_shares.top AS top_payer_share,
    payee_shares.top AS top_payee_share,
    CAST(payer_shares.squares AS DOUBLE) / 1000000000000000000 AS payer_concentration,
    CAST(payee_shares.squares AS DOUBLE) / 1000000000000000000 AS payee_concentration,
    CAST(partner_totals.top_3 AS DOUBLE) / partner_totals.transfers AS top_3_transfer_share,
    CAST(partner_totals.reciprocal AS DOUBLE) / partner_totals.partners AS reciprocal_share,
    CASE WHEN 2 * payee_side.whole >= payee_side.payees THEN payee_side.payers_median END AS payee_payers_median,
    CASE WHEN 2 * payer_side.whole >= payer_side.payers THEN payer_side.payees_median END AS payer_payees_median,
    payer_side.opener_payees AS first_payer_payees,
    CASE
        WHEN 2 * payer_side.whole >= payer_side.payers
            THEN CAST(payer_side.young AS DOUBLE) / payer_side.whole
    END AS young_payer_share,
    CASE
        WHEN 2 * payee_side.whole >= payee_side.payees
            THEN CAST(payee_side.fresh AS DOUBLE) / payee_side.whole
    END AS fresh_payee_share
FROM main_asset
LEFT JOIN payer_side ON payer_side.entity = main_asset.entity
LEFT JOIN payee_side ON payee_side.entity = main_asset.entity
LEFT JOIN payer_shares ON payer_shares.entity = main_asset.entity
LEFT JOIN payee_shares ON payee_shares.entity = main_asset.entity
LEFT JOIN partner_totals ON partner_totals.entity = main_asset.entity
