-- How money passes through an entity, in its main asset, first in, first out.
-- One row per entity with a transfer before $as_of.
-- What it paid beyond what it was seen to hold came from elsewhere: that part (`unseen`, the running maximum of
-- payments over receipts) is set aside, and the rest (`spent`) never exceeds what it received.
WITH flows AS (
    SELECT
        entity,
        seq,
        asset,
        direction,
        least(amount, 10000000000000000000000000000000) AS amount,
        -date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS moment
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
running AS (
    SELECT
        flows.entity,
        seq,
        direction,
        amount,
        moment,
        sum(CASE WHEN direction = 'in' THEN amount ELSE 0 END) OVER (
            PARTITION BY flows.entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS received,
        sum(CASE WHEN direction = 'out' THEN amount ELSE 0 END) OVER (
            PARTITION BY flows.entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS sent,
        lag(CASE WHEN direction = 'in' THEN amount END) OVER (
            PARTITION BY flows.entity ORDER BY seq, direction DESC
        ) AS receipt_before
    FROM flows
    JOIN main_asset ON main_asset.entity = flows.entity AND main_asset.asset = flows.asset
),
covered AS (
    SELECT
        *,
        coalesce(max(greatest(sent - received, 0)) OVER (
            PARTITION BY entity ORDER BY seq, direction DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS unseen_before
    FROM running
),
spending AS (
    SELECT
        entity,
        direction,
        amount,
        moment,
        receipt_before,
        received,
        sent,
        greatest(unseen_before, sent - received) AS unseen,
        sent - greatest(unseen_before, sent - received) AS spent,
        received - (sent - amount - unseen_before) AS held_before
    FROM covered
),
windows AS (
    SELECT
        *,
        max(spent) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN UNBOUNDED PRECEDING AND 86400 FOLLOWING
        ) AS spent_24h,
        max(spent) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN UNBOUNDED PRECEDING AND 604800 FOLLOWING
        ) AS spent_7d
    FROM spending
),
totals AS (
    SELECT
        entity,
        CAST(max(received) AS DOUBLE) AS received,
        CAST(max(sent) AS DOUBLE) AS sent,
        CAST(max(received) - max(spent) AS DOUBLE) AS kept,
        CAST(max(unseen) AS DOUBLE) AS unseen,
        CAST(sum(
            CASE WHEN direction = 'in' THEN least(greatest(spent_24h - (received - amount), 0), amount) ELSE 0 END
        ) AS DOUBLE) AS passed_24h,
        CAST(sum(
            CASE WHEN direction = 'in' THEN least(greatest(spent_7d - (received - amount), 0), amount) ELSE 0 END
        ) AS DOUBLE) AS passed_7d,
        count(*) FILTER (WHERE direction = 'out') AS payments,
        count(*) FILTER (
            WHERE direction = 'out' AND held_before > 0
            AND 100 * CAST(received - spent AS DOUBLE) <= CAST(held_before AS DOUBLE)
        ) AS emptying,
        count(*) FILTER (
            WHERE direction = 'out' AND amount <= receipt_before AND 10 * amount >= 9 * receipt_before
        ) AS forwarded
    FROM windows
    GROUP BY entity
)
SELECT
    entity,
    sent / (sent + received) AS sent_share,
    kept / nullif(received, 0) AS kept_share,
    passed_24h / nullif(received, 0) AS pass_through_24h,
    passed_7d / nullif(received, 0) AS pass_through_7d,
    unseen / nullif(sent, 0) AS unseen_funds_share,
    CAST(emptying AS DOUBLE) / nullif(payments, 0) AS emptying_payment_share,
    CAST(forwarded AS DOUBLE) / nullif(payments, 0) AS forwarded_payment_share
FROM totals
