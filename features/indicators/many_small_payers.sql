-- Many different private payers send small sums to one wallet within weeks, and it passes nearly all of it on.
WITH pairs AS (
    SELECT
        payee AS entity,
        payer,
        min(moment) AS moment,
        min(seq) AS seq,
        count(*) AS payments,
        count(*) FILTER (WHERE usd > 0 AND usd <= 1000000 * $small_usd) AS small,
        sum(usd) AS usd
    FROM payment
    WHERE payee_private AND payer_private
    GROUP BY payee, payer
),
windows AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY entity ORDER BY moment RANGE BETWEEN 86400 * $days PRECEDING AND CURRENT ROW
        ) AS newcomers
    FROM pairs
    WHERE small = payments
),
best AS (
    SELECT entity, moment AS ending
    FROM windows
    WHERE newcomers >= $payers
    QUALIFY row_number() OVER (PARTITION BY entity ORDER BY newcomers DESC, seq) = 1
),
-- Of its receipts, how many are small ones of private payers; of what it received, how much went on.
small_receipts AS (
    SELECT pairs.entity, sum(pairs.small) AS small
    FROM pairs
    JOIN best ON best.entity = pairs.entity
    GROUP BY pairs.entity
),
passed AS (
    SELECT
        movement.entity,
        count(*) FILTER (WHERE direction = 'in') AS receipts,
        CAST(sum(CASE WHEN direction = 'out' THEN usd ELSE 0 END) AS DOUBLE)
            / nullif(CAST(sum(CASE WHEN direction = 'in' THEN usd ELSE 0 END) AS DOUBLE), 0) AS passed_share
    FROM movement
    JOIN best ON best.entity = movement.entity
    GROUP BY movement.entity
),
shown AS (
    SELECT pairs.*, row_number() OVER (PARTITION BY pairs.entity ORDER BY pairs.seq) AS place
    FROM best
    JOIN pairs ON pairs.entity = best.entity
    WHERE pairs.small = pairs.payments AND moment BETWEEN ending - 86400 * $days AND ending
)
SELECT
    shown.entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payers) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS payers,
    max(passed.receipts) AS receipts,
    least(max(passed.passed_share), 1.0) AS passed_share
FROM shown
JOIN passed ON passed.entity = shown.entity
JOIN small_receipts ON small_receipts.entity = shown.entity
WHERE passed.passed_share >= $passed_share
    AND CAST(small_receipts.small AS DOUBLE) >= $small_share * passed.receipts
GROUP BY shown.entity
