-- Whom an entity has begun to deal with in the last 7, 14 and 30 days, and whom those deal with anew.
-- One row per entity with a counterparty before $as_of. A pair is new in a window when its first transfer
-- lies in it. Steps through an entity with more than 100 new counterparties are not taken (a service: it joins
-- everybody to everybody), and who has more than 1,000 of its own gets no answer. What counterparties do with
-- others is told by those whose whole history was read, and is unknown where they are fewer than half.
-- The windows lie in one another: what is new in the last 7 days is new in the last 30, so one join over 30 days
-- serves all three, and each count tells the windows apart by the age of the younger or older pair.
WITH edges AS (
    SELECT
        payer,
        payee,
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
-- Pairs with a transfer in the last 30 days.
pairs AS (
    SELECT payer, payee, max(seconds_ago) AS first_ago
    FROM edges
    GROUP BY payer, payee
    HAVING min(seconds_ago) <= 2592000
),
recent AS (
    SELECT edges.payer, edges.payee, edges.asset, edges.amount, edges.seconds_ago, pairs.first_ago
    FROM edges
    JOIN pairs ON pairs.payer = edges.payer AND pairs.payee = edges.payee
    WHERE edges.seconds_ago <= 2592000
),
in_side AS (
    SELECT
        recent.payee AS entity,
        count(*) FILTER (WHERE seconds_ago <= 604800) AS transfers_7,
        count(*) FILTER (WHERE seconds_ago <= 1209600) AS transfers_14,
        count(*) FILTER (WHERE seconds_ago <= 2592000) AS transfers_30,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 604800 THEN amount END) AS amount_7,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 1209600 THEN amount END) AS amount_14,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 2592000 THEN amount END) AS amount_30,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 604800 THEN amount ELSE 0 END
        ) AS new_amount_7,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 1209600 THEN amount ELSE 0 END
        ) AS new_amount_14,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 2592000 THEN amount ELSE 0 END
        ) AS new_amount_30
    FROM recent
    JOIN main_asset ON main_asset.entity = recent.payee
    GROUP BY recent.payee
),
out_side AS (
    SELECT
        recent.payer AS entity,
        count(*) FILTER (WHERE seconds_ago <= 604800) AS transfers_7,
        count(*) FILTER (WHERE seconds_ago <= 1209600) AS transfers_14,
        count(*) FILTER (WHERE seconds_ago <= 2592000) AS transfers_30,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 604800 THEN amount END) AS amount_7,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 1209600 THEN amount END) AS amount_14,
        sum(CASE WHEN recent.asset = main_asset.asset AND seconds_ago <= 2592000 THEN amount END) AS amount_30,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 604800 THEN amount ELSE 0 END
        ) AS new_amount_7,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 1209600 THEN amount ELSE 0 END
        ) AS new_amount_14,
        sum(
            CASE WHEN recent.asset = main_asset.asset AND first_ago <= 2592000 THEN amount ELSE 0 END
        ) AS new_amount_30
    FROM recent
    JOIN main_asset ON main_asset.entity = recent.payer
    GROUP BY recent.payer
),
new_pairs AS (
    SELECT payer, payee, first_ago
    FROM pairs
    WHERE first_ago <= 2592000
),
fan_in AS (
    SELECT
        payee AS entity,
        count(*) FILTER (WHERE first_ago <= 604800) AS payers_7,
        count(*) FILTER (WHERE first_ago <= 1209600) AS payers_14,
        count(*) FILTER (WHERE first_ago <= 2592000) AS payers_30
    FROM new_pairs
    GROUP BY payee
),
fan_out AS (
    SELECT
        payer AS entity,
        count(*) FILTER (WHERE first_ago <= 604800) AS payees_7,
        count(*) FILTER (WHERE first_ago <= 1209600) AS payees_14,
        count(*) FILTER (WHERE first_ago <= 2592000) AS payees_30
    FROM new_pairs
    GROUP BY payer
),
-- How many each entity dealt with anew, and the longest window in which it is no service.
fans AS (
    SELECT
        main_asset.entity,
        whole_history.entity IS NOT NULL AS whole,
        coalesce(payers_7, 0) AS payers_7,
        coalesce(payers_14, 0) AS payers_14,
        coalesce(payers_30, 0) AS payers_30,
        coalesce(payees_7, 0) AS payees_7,
        coalesce(payees_14, 0) AS payees_14,
        coalesce(payees_30, 0) AS payees_30,
        CASE
            WHEN whole_history.entity IS NULL THEN 0
            WHEN coalesce(payers_30, 0) <= 100 THEN 2592000
            WHEN payers_14 <= 100 THEN 1209600
            WHEN payers_7 <= 100 THEN 604800
            ELSE 0
        END AS joins_payers,
        CASE
            WHEN whole_history.entity IS NULL THEN 0
            WHEN coalesce(payees_30, 0) <= 100 THEN 2592000
            WHEN payees_14 <= 100 THEN 1209600
            WHEN payees_7 <= 100 THEN 604800
            ELSE 0
        END AS joins_payees
    FROM main_asset
    LEFT JOIN fan_in ON fan_in.entity = main_asset.entity
    LEFT JOIN fan_out ON fan_out.entity = main_asset.entity
    LEFT JOIN whole_history ON whole_history.entity = main_asset.entity
),
payer_side AS (
    SELECT
        new_pairs.payee AS entity,
        count(*) FILTER (WHERE first_ago <= 604800) AS whole_7,
        count(*) FILTER (WHERE first_ago <= 1209600) AS whole_14,
        count(*) FILTER (WHERE first_ago <= 2592000) AS whole_30,
        max(CASE WHEN first_ago <= 604800 THEN payers_7 END) AS fan_before_7,
        max(CASE WHEN first_ago <= 1209600 THEN payers_14 END) AS fan_before_14,
        max(CASE WHEN first_ago <= 2592000 THEN payers_30 END) AS fan_before_30,
        max(CASE WHEN first_ago <= 604800 THEN payees_7 END) AS fan_beside_7,
        max(CASE WHEN first_ago <= 1209600 THEN payees_14 END) AS fan_beside_14,
        max(CASE WHEN first_ago <= 2592000 THEN payees_30 END) AS fan_beside_30
    FROM new_pairs
    JOIN fans ON fans.entity = new_pairs.payer
    WHERE fans.whole
    GROUP BY new_pairs.payee
),
payee_side AS (
    SELECT
        new_pairs.payer AS entity,
        count(*) FILTER (WHERE first_ago <= 604800) AS whole_7,
        count(*) FILTER (WHERE first_ago <= 1209600) AS whole_14,
        count(*) FILTER (WHERE first_ago <= 2592000) AS whole_30,
        max(CASE WHEN first_ago <= 604800 THEN payees_7 END) AS fan_after_7,
        max(CASE WHEN first_ago <= 1209600 THEN payees_14 END) AS fan_after_14,
        max(CASE WHEN first_ago <= 2592000 THEN payees_30 END) AS fan_after_30,
        max(CASE WHEN first_ago <= 604800 THEN payers_7 END) AS fan_beside_7,
        max(CASE WHEN first_ago <= 1209600 THEN payers_14 END) AS fan_beside_14,
        max(CASE WHEN first_ago <= 2592000 THEN payers_30 END) AS fan_beside_30
    FROM new_pairs
    JOIN fans ON fans.entity = new_pairs.payee
    WHERE fans.whole
    GROUP BY new_pairs.payer
),
-- Two payers of the same new payees, each couple once.
payer_links AS (
    SELECT new_pairs.payer, new_pairs.payee, new_pairs.first_ago, fans.joins_payers AS reach
    FROM new_pairs
    JOIN fans ON fans.entity = new_pairs.payee
    WHERE new_pairs.first_ago <= fans.joins_payers
),
payer_couples AS (
    SELECT
        one.payer AS one,
        other.payer AS other,
        count(*) FILTER (WHERE greatest(one.first_ago, other.first_ago) <= 604800) AS shared_7,
        count(*) FILTER (
            WHERE greatest(one.first_ago, other.first_ago) <= 1209600 AND one.reach >= 1209600
        ) AS shared_14,
        count(*) FILTER (WHERE one.reach = 2592000) AS shared_30
    FROM payer_links AS one
    JOIN payer_links AS other ON other.payee = one.payee AND other.payer > one.payer
    GROUP BY one.payer, other.payer
),
co_payers AS (
    SELECT entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
    FROM (
        SELECT one AS entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
        FROM payer_couples
        GROUP BY one
        UNION ALL
        SELECT other AS entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
        FROM payer_couples
        GROUP BY other
    ) AS sides
    GROUP BY entity
),
-- Two payees of the same new payers, each couple once.
payee_links AS (
    SELECT new_pairs.payer, new_pairs.payee, new_pairs.first_ago, fans.joins_payees AS reach
    FROM new_pairs
    JOIN fans ON fans.entity = new_pairs.payer
    WHERE new_pairs.first_ago <= fans.joins_payees
),
payee_couples AS (
    SELECT
        one.payee AS one,
        other.payee AS other,
        count(*) FILTER (WHERE greatest(one.first_ago, other.first_ago) <= 604800) AS shared_7,
        count(*) FILTER (
            WHERE greatest(one.first_ago, other.first_ago) <= 1209600 AND one.reach >= 1209600
        ) AS shared_14,
        count(*) FILTER (WHERE one.reach = 2592000) AS shared_30
    FROM payee_links AS one
    JOIN payee_links AS other ON other.payer = one.payer AND other.payee > one.payee
    GROUP BY one.payee, other.payee
),
co_payees AS (
    SELECT entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
    FROM (
        SELECT one AS entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
        FROM payee_couples
        GROUP BY one
        UNION ALL
        SELECT other AS entity, max(shared_7) AS shared_7, max(shared_14) AS shared_14, max(shared_30) AS shared_30
        FROM payee_couples
        GROUP BY other
    ) AS sides
    GROUP BY entity
),
-- Several ways of two steps from one entity to another, each through somebody paid before paying.
ways AS (
    SELECT
        near.payer AS source,
        far.payee AS target,
        count(*) FILTER (WHERE near.first_ago <= 604800) AS relays_7,
        count(*) FILTER (WHERE near.first_ago <= 1209600 AND near.reach >= 1209600) AS relays_14,
        count(*) FILTER (WHERE near.reach = 2592000) AS relays_30
    FROM (
        SELECT
            new_pairs.payer,
            new_pairs.payee,
            new_pairs.first_ago,
            least(fans.joins_payers, fans.joins_payees) AS reach
        FROM new_pairs
        JOIN fans ON fans.entity = new_pairs.payee
        WHERE new_pairs.first_ago <= fans.joins_payers AND new_pairs.first_ago <= fans.joins_payees
    ) AS near
    JOIN new_pairs AS far
        ON far.payer = near.payee AND far.payee <> near.payer AND far.first_ago <= near.first_ago
    GROUP BY near.payer, far.payee
),
onward AS (
    SELECT source AS entity, max(relays_7) AS relays_7, max(relays_14) AS relays_14, max(relays_30) AS relays_30
    FROM ways
    GROUP BY source
),
inward AS (
    SELECT target AS entity, max(relays_7) AS relays_7, max(relays_14) AS relays_14, max(relays_30) AS relays_30
    FROM ways
    GROUP BY target
)
SELECT
    fans.entity,
    coalesce(in_side.transfers_7, 0) AS receipts_7d,
    coalesce(in_side.transfers_14, 0) AS receipts_14d,
    coalesce(in_side.transfers_30, 0) AS receipts_30d,
    coalesce(out_side.transfers_7, 0) AS payments_7d,
    coalesce(out_side.transfers_14, 0) AS payments_14d,
    coalesce(out_side.transfers_30, 0) AS payments_30d,
    payers_7 AS new_payers_7d,
    payers_14 AS new_payers_14d,
    payers_30 AS new_payers_30d,
    payees_7 AS new_payees_7d,
    payees_14 AS new_payees_14d,
    payees_30 AS new_payees_30d,
    CAST(in_side.new_amount_7 AS DOUBLE) / nullif(CAST(in_side.amount_7 AS DOUBLE), 0) AS new_payer_value_share_7d,
    CAST(in_side.new_amount_14 AS DOUBLE)
        / nullif(CAST(in_side.amount_14 AS DOUBLE), 0) AS new_payer_value_share_14d,
    CAST(in_side.new_amount_30 AS DOUBLE)
        / nullif(CAST(in_side.amount_30 AS DOUBLE), 0) AS new_payer_value_share_30d,
    CAST(out_side.new_amount_7 AS DOUBLE)
        / nullif(CAST(out_side.amount_7 AS DOUBLE), 0) AS new_payee_value_share_7d,
    CAST(out_side.new_amount_14 AS DOUBLE)
        / nullif(CAST(out_side.amount_14 AS DOUBLE), 0) AS new_payee_value_share_14d,
    CAST(out_side.new_amount_30 AS DOUBLE)
        / nullif(CAST(out_side.amount_30 AS DOUBLE), 0) AS new_payee_value_share_30d,
    CASE WHEN 2 * payer_side.whole_7 >= payers_7 THEN payer_side.fan_before_7 END AS new_payer_new_payers_7d,
    CASE WHEN 2 * payer_side.whole_14 >= payers_14 THEN payer_side.fan_before_14 END AS new_payer_new_payers_14d,
    CASE WHEN 2 * payer_side.whole_30 >= payers_30 THEN payer_side.fan_before_30 END AS new_payer_new_payers_30d,
    CASE WHEN 2 * payer_side.whole_7 >= payers_7 THEN payer_side.fan_beside_7 END AS new_payer_new_payees_7d,
    CASE WHEN 2 * payer_side.whole_14 >= payers_14 THEN payer_side.fan_beside_14 END AS new_payer_new_payees_14d,
    CASE WHEN 2 * payer_side.whole_30 >= payers_30 THEN payer_side.fan_beside_30 END AS new_payer_new_payees_30d,
    CASE WHEN 2 * payee_side.whole_7 >= payees_7 THEN payee_side.fan_beside_7 END AS new_payee_new_payers_7d,
    CASE WHEN 2 * payee_side.whole_14 >= payees_14 THEN payee_side.fan_beside_14 END AS new_payee_new_payers_14d,
    CASE WHEN 2 * payee_side.whole_30 >= payees_30 THEN payee_side.fan_beside_30 END AS new_payee_new_payers_30d,
    CASE WHEN 2 * payee_side.whole_7 >= payees_7 THEN payee_side.fan_after_7 END AS new_payee_new_payees_7d,
    CASE WHEN 2 * payee_side.whole_14 >= payees_14 THEN payee_side.fan_after_14 END AS new_payee_new_payees_14d,
    CASE WHEN 2 * payee_side.whole_30 >= payees_30 THEN payee_side.fan_after_30 END AS new_payee_new_payees_30d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_7, 0) >= payees_7 AND payees_7 <= 1000
            THEN coalesce(co_payers.shared_7, 0)
    END AS shared_new_payees_7d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_14, 0) >= payees_14 AND payees_14 <= 1000
            THEN coalesce(co_payers.shared_14, 0)
    END AS shared_new_payees_14d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_30, 0) >= payees_30 AND payees_30 <= 1000
            THEN coalesce(co_payers.shared_30, 0)
    END AS shared_new_payees_30d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_7, 0) >= payers_7 AND payers_7 <= 1000
            THEN coalesce(co_payees.shared_7, 0)
    END AS shared_new_payers_7d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_14, 0) >= payers_14 AND payers_14 <= 1000
            THEN coalesce(co_payees.shared_14, 0)
    END AS shared_new_payers_14d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_30, 0) >= payers_30 AND payers_30 <= 1000
            THEN coalesce(co_payees.shared_30, 0)
    END AS shared_new_payers_30d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_7, 0) >= payees_7 AND payees_7 <= 1000
            THEN coalesce(onward.relays_7, 0)
    END AS new_relays_onward_7d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_14, 0) >= payees_14 AND payees_14 <= 1000
            THEN coalesce(onward.relays_14, 0)
    END AS new_relays_onward_14d,
    CASE
        WHEN 2 * coalesce(payee_side.whole_30, 0) >= payees_30 AND payees_30 <= 1000
            THEN coalesce(onward.relays_30, 0)
    END AS new_relays_onward_30d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_7, 0) >= payers_7 AND payers_7 <= 1000
            THEN coalesce(inward.relays_7, 0)
    END AS new_relays_inward_7d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_14, 0) >= payers_14 AND payers_14 <= 1000
            THEN coalesce(inward.relays_14, 0)
    END AS new_relays_inward_14d,
    CASE
        WHEN 2 * coalesce(payer_side.whole_30, 0) >= payers_30 AND payers_30 <= 1000
            THEN coalesce(inward.relays_30, 0)
    END AS new_relays_inward_30d
FROM fans
LEFT JOIN in_side ON in_side.entity = fans.entity
LEFT JOIN out_side ON out_side.entity = fans.entity
LEFT JOIN payer_side ON payer_side.entity = fans.entity
LEFT JOIN payee_side ON payee_side.entity = fans.entity
LEFT JOIN co_payers ON co_payers.entity = fans.entity
LEFT JOIN co_payees ON co_payees.entity = fans.entity
LEFT JOIN onward ON onward.entity = fans.entity
LEFT JOIN inward ON inward.entity = fans.entity
