-- Hypothesis: dollar tokens in retail sums that are round in a currency of the region at the day's rate, from many
-- payers, in local evenings and on weekends. Without rates in the ledger it says nothing.
WITH steps AS (
    SELECT 'iso4217:KZT' AS reference, 'KZT' AS currency, $kzt_step AS step
    UNION ALL SELECT 'iso4217:KGS', 'KGS', $kgs_step
    UNION ALL SELECT 'iso4217:UZS', 'UZS', $uzs_step
    UNION ALL SELECT 'iso4217:TJS', 'TJS', $tjs_step
    UNION ALL SELECT 'iso4217:TMT', 'TMT', $tmt_step
    UNION ALL SELECT 'iso4217:CNY', 'CNY', $cny_step
    UNION ALL SELECT 'iso4217:RUB', 'RUB', $rub_step
),
retail AS (
    SELECT payment.payee AS entity, payment.payer, payment.seq, payment.moment, payment.usd, edge_time.time
    FROM payment
    JOIN ledger.asset AS a ON a.asset = payment.asset AND a.usd_pegged
    JOIN seen_transfer AS edge_time ON edge_time.seq = payment.seq
    WHERE payment.payee_private
        AND payment.payer_private
        AND payment.usd BETWEEN 1000000 * $least_usd AND 1000000 * $most_usd
),
busy AS (
    SELECT entity FROM retail GROUP BY entity
    HAVING count(*) >= $receipts AND count(DISTINCT payer) >= $payers
),
rated AS (
    SELECT
        retail.entity,
        retail.payer,
        retail.seq,
        steps.currency,
        CAST(retail.usd AS DOUBLE) * CAST(r.units AS DOUBLE) / CAST(r.usd_micro AS DOUBLE) / steps.step AS local_steps,
        CAST(retail.usd AS DOUBLE) / 5000000 AS dollar_steps,
        (retail.moment // 3600 + $utc_offset_hours) % 24 >= $evening_from_hour
            -- 1970-01-01 was a Thursday: from there, Saturday and Sunday are the third and the fourth day.
            OR ((retail.moment // 3600 + $utc_offset_hours) // 24) % 7 IN (2, 3) AS leisure
    FROM retail
    JOIN busy ON busy.entity = retail.entity
    JOIN ledger.rate AS r ON r.day = CAST(retail.time AS DATE)
    JOIN steps ON steps.reference = r.reference
),
judged AS (
    SELECT
        *,
        local_steps >= 0.5 AND abs(local_steps - round(local_steps)) <= $near_step AS local_round,
        abs(dollar_steps - round(dollar_steps)) <= 0.01 AS dollar_round
    FROM rated
),
placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY entity, currency ORDER BY CASE WHEN local_round THEN 0 ELSE 1 END, seq DESC
        ) AS place
    FROM judged
),
sums AS (
    SELECT
        entity,
        currency,
        count(*) AS receipts,
        count(DISTINCT payer) AS payers,
        CAST(count(*) FILTER (WHERE local_round) AS DOUBLE) / count(*) AS round_share,
        CAST(count(*) FILTER (WHERE dollar_round) AS DOUBLE) / count(*) AS dollar_share,
        CAST(count(*) FILTER (WHERE leisure) AS DOUBLE) / count(*) AS leisure_share,
        list_sort(list(seq) FILTER (WHERE local_round AND place <= 20)) AS evidence,
        count(*) FILTER (WHERE local_round) AS round_receipts
    FROM placed
    GROUP BY entity, currency
)
SELECT
    entity,
    round_share / (round_share + $round_share) AS strength,
    evidence,
    round_receipts AS evidence_count,
    receipts,
    payers,
    currency,
    round_share,
    leisure_share
FROM sums
WHERE receipts >= $receipts
    AND payers >= $payers
    AND round_share >= $round_share
    AND dollar_share < $round_share / 2
    AND leisure_share >= $leisure_share
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY round_share DESC, currency) = 1
