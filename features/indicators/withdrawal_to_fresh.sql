-- A wallet whose first receipt is a withdrawal from a custodial service, and which passes it on at once.
WITH opened AS (
    SELECT payment.payee AS entity, payment.asset, payment.seq, payment.moment, payment.usd
    FROM payment
    JOIN party ON party.entity = payment.payee AND party.first_seq = payment.seq
    WHERE payment.payee_private
        AND payment.payer_kind = 'custodial'
        AND payment.usd >= 1000000 * $received_usd
)
SELECT
    opened.entity,
    CAST(3600 * $hours AS DOUBLE) / (relay.moment - opened.moment + 3600 * $hours) AS strength,
    list_sort([opened.seq, relay.seq]) AS evidence,
    2 AS evidence_count,
    CAST(opened.usd AS DOUBLE) / 1000000 AS received_usd,
    CAST(relay.amount AS DOUBLE) / CAST(relay.received AS DOUBLE) AS passed_share,
    CAST(relay.moment - opened.moment AS DOUBLE) / 60 AS minutes
FROM opened
JOIN relay ON relay.entity = opened.entity AND relay.asset = opened.asset AND relay.first_in_seq = opened.seq
JOIN party AS payee ON payee.entity = relay.payee AND payee.private
WHERE relay.receipts = 1
    AND CAST(relay.amount AS DOUBLE) >= $passed_share * CAST(relay.received AS DOUBLE)
    AND relay.moment - opened.moment <= 3600 * $hours
