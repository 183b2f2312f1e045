-- Whom an entity has begun to deal with in the last 7, 14 and 30 days, and whom those deal with anew.
-- One row per entity with a counterparty before $as_of. A pair is new in a window when its first transfer
-- lies in it. Steps through an entity with more than 100 new counterparties are not taken (a service: it joins
-- everybody to everybody), and who has more than 1,000 of its own gets no answer. What counterparties do with
-- others is told by those whose whole history was read, and is unknown where they are fewer than half.
WITH windows AS (
    SELECT 7 AS days, 604800 AS seconds
    UNION ALL
    SELECT 14 AS days, 1209600 AS seconds
    UNION ALL
    SELECT 30 AS days, 2592000 AS seconds
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
-- The main asset, as everywhere: of most transfers, and of equals the one used first.
per_asset AS (
    SELECT entity, asset, count(*) AS transfers, min(seq) AS first_seq
    FROM flow
    WHERE time < $as_of
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
pairs AS (
    SELECT payer, payee, max(seconds_ago) AS first_ago
    FROM edges
    GROUP BY payer, payee
),
recent AS (
    SELECT
        windows.days,
        edges.payer,
        edges.payee,
        edges.asset,
        edges.amount,
        pairs.first_ago <= windows.seconds AS new
    FROM edges
    JOIN windows ON edges.seconds_ago <= windows.seconds
    JOIN pairs ON pairs.payer = edges.payer AND pairs.payee = edges.payee
),
in_side AS (
    SELECT
        recent.payee AS entity,
        recent.days,
        count(*) AS transfers,
        sum(CASE WHEN recent.asset = main_asset.asset THEN recent.amount END) AS amount,
        sum(CASE WHEN recent.asset = main_asset.asset AND recent.new THEN recent.amount ELSE 0 END) AS new_amount
    FROM recent
    JOIN main_asset ON main_asset.entity = recent.payee
    GROUP BY recent.payee, recent.days
),
out_side AS (
    SELECT
        recent.payer AS entity,
        recent.days,
        count(*) AS transfers,
        sum(CASE WHEN recent.asset = main_asset.asset THEN recent.amount END) AS amount,
        sum(CASE WHEN recent.asset = main_asset.asset AND recent.new THEN recent.amount ELSE 0 END) AS new_amount
    FROM recent
    JOIN main_asset ON main_asset.entity = recent.payer
    GROUP BY recent.payer, recent.days
),
new_pairs AS (
    SELECT windows.days, pairs.payer, pairs.payee, pairs.first_ago
    FROM pairs
    JOIN windows ON pairs.first_ago <= windows.seconds
),
fan_in AS (
    SELECT payee AS entity, days, count(*) AS payers
    FROM new_pairs
    GROUP BY payee, days
),
fan_out AS (
    SELECT payer AS entity, days, count(*) AS payees
    FROM new_pairs
    GROUP BY payer, days
),
-- New pairs with what both ends are to others.
fans AS (
    SELECT
        new_pairs.days,
        new_pairs.payer,
        new_pairs.payee,
        new_pairs.first_ago,
        payer_in.payers AS payer_payers,
        payer_out.payees AS payer_payees,
        payee_in.payers AS payee_payers,
        payee_out.payees AS payee_payees,
        whole_payer.entity IS NOT NULL AS whole_payer,
        whole_payee.entity IS NOT NULL AS whole_payee
    FROM new_pairs
    JOIN fan_out AS payer_out ON payer_out.entity = new_pairs.payer AND payer_out.days = new_pairs.days
    JOIN fan_in AS payee_in ON payee_in.entity = new_pairs.payee AND payee_in.days = new_pairs.days
    LEFT JOIN fan_in AS payer_in ON payer_in.entity = new_pairs.payer AND payer_in.days = new_pairs.days
    LEFT JOIN fan_out AS payee_out ON payee_out.entity = new_pairs.payee AND payee_out.days = new_pairs.days
    LEFT JOIN whole_history AS whole_payer ON whole_payer.entity = new_pairs.payer
    LEFT JOIN whole_history AS whole_payee ON whole_payee.entity = new_pairs.payee
),
payer_side AS (
    SELECT
        payee AS entity,
        days,
        count(*) AS fan,
        2 * count(*) FILTER (WHERE whole_payer) >= count(*) AS known,
        max(CASE WHEN whole_payer THEN coalesce(payer_payers, 0) END) AS fan_before,
        max(CASE WHEN whole_payer THEN payer_payees END) AS fan_beside
    FROM fans
    GROUP BY payee, days
),
payee_side AS (
    SELECT
        payer AS entity,
        days,
        count(*) AS fan,
        2 * count(*) FILTER (WHERE whole_payee) >= count(*) AS known,
        max(CASE WHEN whole_payee THEN coalesce(payee_payees, 0) END) AS fan_after,
        max(CASE WHEN whole_payee THEN payee_payers END) AS fan_beside
    FROM fans
    GROUP BY payer, days
),
-- Two payers of the same new payees.
co_payers AS (
    SELECT entity, days, max(shared) AS shared
    FROM (
        SELECT one.payer AS entity, one.days, other.payer, count(*) AS shared
        FROM fans AS one
        JOIN fans AS other ON other.payee = one.payee AND other.days = one.days AND other.payer <> one.payer
        WHERE one.whole_payee AND one.payee_payers <= 100 AND one.payer_payees <= 1000
        GROUP BY one.payer, one.days, other.payer
    ) AS couples
    GROUP BY entity, days
),
-- Two payees of the same new payers.
co_payees AS (
    SELECT entity, days, max(shared) AS shared
    FROM (
        SELECT one.payee AS entity, one.days, other.payee, count(*) AS shared
        FROM fans AS one
        JOIN fans AS other ON other.payer = one.payer AND other.days = one.days AND other.payee <> one.payee
        WHERE one.whole_payer AND one.payer_payees <= 100 AND one.payee_payers <= 1000
        GROUP BY one.payee, one.days, other.payee
    ) AS couples
    GROUP BY entity, days
),
-- Several ways of two steps from one entity to another, each through somebody paid before paying.
ways AS (
    SELECT near.payer AS source, far.payee AS target, near.days, near.payer_payees, far.payee_payers
    FROM fans AS near
    JOIN fans AS far ON far.payer = near.payee AND far.days = near.days AND far.payee <> near.payer
    WHERE near.whole_payee AND near.payee_payers <= 100 AND near.payee_payees <= 100
        AND near.first_ago >= far.first_ago
),
onward AS (
    SELECT entity, days, max(relays) AS relays
    FROM (
        SELECT source AS entity, days, target, count(*) AS relays
        FROM ways
        WHERE payer_payees <= 1000
        GROUP BY source, days, target
    ) AS couples
    GROUP BY entity, days
),
inward AS (
    SELECT entity, days, max(relays) AS relays
    FROM (
        SELECT target AS entity, days, source, count(*) AS relays
        FROM ways
        WHERE payee_payers <= 1000
        GROUP BY target, days, source
    ) AS couples
    GROUP BY entity, days
),
-- One row per entity and window.
entity_window AS (
    SELECT
        main_asset.entity,
        windows.days,
        coalesce(in_side.transfers, 0) AS receipts,
        coalesce(out_side.transfers, 0) AS payments,
        coalesce(payer_side.fan, 0) AS payers,
        coalesce(payee_side.fan, 0) AS payees,
        CAST(in_side.new_amount AS DOUBLE) / nullif(CAST(in_side.amount AS DOUBLE), 0) AS received,
        CAST(out_side.new_amount AS DOUBLE) / nullif(CAST(out_side.amount AS DOUBLE), 0) AS sent,
        CASE WHEN payer_side.known THEN payer_side.fan_before END AS payer_payers,
        CASE WHEN payer_side.known THEN payer_side.fan_beside END AS payer_payees,
        CASE WHEN payee_side.known THEN payee_side.fan_beside END AS payee_payers,
        CASE WHEN payee_side.known THEN payee_side.fan_after END AS payee_payees,
        CASE
            WHEN coalesce(payee_side.known, true) AND coalesce(payee_side.fan, 0) <= 1000
                THEN coalesce(co_payers.shared, 0)
        END AS shared_payees,
        CASE
            WHEN coalesce(payer_side.known, true) AND coalesce(payer_side.fan, 0) <= 1000
                THEN coalesce(co_payees.shared, 0)
        END AS shared_payers,
        CASE
            WHEN coalesce(payee_side.known, true) AND coalesce(payee_side.fan, 0) <= 1000
                THEN coalesce(onward.relays, 0)
        END AS relays_to,
        CASE
            WHEN coalesce(payer_side.known, true) AND coalesce(payer_side.fan, 0) <= 1000
                THEN coalesce(inward.relays, 0)
        END AS relays_from
    FROM main_asset
    CROSS JOIN windows
    LEFT JOIN in_side ON in_side.entity = main_asset.entity AND in_side.days = windows.days
    LEFT JOIN out_side ON out_side.entity = main_asset.entity AND out_side.days = windows.days
    LEFT JOIN payer_side ON payer_side.entity = main_asset.entity AND payer_side.days = windows.days
    LEFT JOIN payee_side ON payee_side.entity = main_asset.entity AND payee_side.days = windows.days
    LEFT JOIN co_payers ON co_payers.entity = main_asset.entity AND co_payers.days = windows.days
    LEFT JOIN co_payees ON co_payees.entity = main_asset.entity AND co_payees.days = windows.days
    LEFT JOIN onward ON onward.entity = main_asset.entity AND onward.days = windows.days
    LEFT JOIN inward ON inward.entity = main_asset.entity AND inward.days = windows.days
)
SELECT
    entity,
    max(CASE WHEN days = 7 THEN receipts END) AS receipts_7d,
    max(CASE WHEN days = 14 THEN receipts END) AS receipts_14d,
    max(CASE WHEN days = 30 THEN receipts END) AS receipts_30d,
    max(CASE WHEN days = 7 THEN payments END) AS payments_7d,
    max(CASE WHEN days = 14 THEN payments END) AS payments_14d,
    max(CASE WHEN days = 30 THEN payments END) AS payments_30d,
    max(CASE WHEN days = 7 THEN payers END) AS new_payers_7d,
    max(CASE WHEN days = 14 THEN payers END) AS new_payers_14d,
    max(CASE WHEN days = 30 THEN payers END) AS new_payers_30d,
    max(CASE WHEN days = 7 THEN payees END) AS new_payees_7d,
    max(CASE WHEN days = 14 THEN payees END) AS new_payees_14d,
    max(CASE WHEN days = 30 THEN payees END) AS new_payees_30d,
    max(CASE WHEN days = 7 THEN received END) AS new_payer_value_share_7d,
    max(CASE WHEN days = 14 THEN received END) AS new_payer_value_share_14d,
    max(CASE WHEN days = 30 THEN received END) AS new_payer_value_share_30d,
    max(CASE WHEN days = 7 THEN sent END) AS new_payee_value_share_7d,
    max(CASE WHEN days = 14 THEN sent END) AS new_payee_value_share_14d,
    max(CASE WHEN days = 30 THEN sent END) AS new_payee_value_share_30d,
    max(CASE WHEN days = 7 THEN payer_payers END) AS new_payer_new_payers_7d,
    max(CASE WHEN days = 14 THEN payer_payers END) AS new_payer_new_payers_14d,
    max(CASE WHEN days = 30 THEN payer_payers END) AS new_payer_new_payers_30d,
    max(CASE WHEN days = 7 THEN payer_payees END) AS new_payer_new_payees_7d,
    max(CASE WHEN days = 14 THEN payer_payees END) AS new_payer_new_payees_14d,
    max(CASE WHEN days = 30 THEN payer_payees END) AS new_payer_new_payees_30d,
    max(CASE WHEN days = 7 THEN payee_payers END) AS new_payee_new_payers_7d,
    max(CASE WHEN days = 14 THEN payee_payers END) AS new_payee_new_payers_14d,
    max(CASE WHEN days = 30 THEN payee_payers END) AS new_payee_new_payers_30d,
    max(CASE WHEN days = 7 THEN payee_payees END) AS new_payee_new_payees_7d,
    max(CASE WHEN days = 14 THEN payee_payees END) AS new_payee_new_payees_14d,
    max(CASE WHEN days = 30 THEN payee_payees END) AS new_payee_new_payees_30d,
    max(CASE WHEN days = 7 THEN shared_payees END) AS shared_new_payees_7d,
    max(CASE WHEN days = 14 THEN shared_payees END) AS shared_new_payees_14d,
    max(CASE WHEN days = 30 THEN shared_payees END) AS shared_new_payees_30d,
    max(CASE WHEN days = 7 THEN shared_payers END) AS shared_new_payers_7d,
    max(CASE WHEN days = 14 THEN shared_payers END) AS shared_new_payers_14d,
    max(CASE WHEN days = 30 THEN shared_payers END) AS shared_new_payers_30d,
    max(CASE WHEN days = 7 THEN relays_to END) AS new_relays_onward_7d,
    max(CASE WHEN days = 14 THEN relays_to END) AS new_relays_onward_14d,
    max(CASE WHEN days = 30 THEN relays_to END) AS new_relays_onward_30d,
    max(CASE WHEN days = 7 THEN relays_from END) AS new_relays_inward_7d,
    max(CASE WHEN days = 14 THEN relays_from END) AS new_relays_inward_14d,
    max(CASE WHEN days = 30 THEN relays_from END) AS new_relays_inward_30d
FROM entity_window
GROUP BY entity
