-- What comes out of a swap or a bridge goes on within a day, at the same value, to a custodial service.
WITH exits AS (
    SELECT
        relay.entity,
        payment.seq AS in_seq,
        relay.seq,
        relay.usd,
        relay.moment - payment.moment AS wait,
        row_number() OVER (PARTITION BY relay.entity ORDER BY relay.usd DESC NULLS LAST, relay.seq) AS place
    FROM payment
    JOIN relay ON relay.entity = payment.payee AND relay.asset = payment.asset AND relay.first_in_seq = payment.seq
    JOIN party ON party.entity = relay.payee AND party.service IS NOT NULL
    WHERE payment.payee_private
        AND payment.payer_kind IN ('convert', 'bridge')
        AND relay.receipts = 1
        AND relay.amount <= relay.received
        AND CAST(relay.amount AS DOUBLE) >= $equal_share * CAST(relay.received AS DOUBLE)
        AND relay.moment - payment.moment <= 3600 * $hours
)
SELECT
    entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $times) AS strength,
    list_sort(list_concat(list(in_seq) FILTER (WHERE place <= 10), list(seq) FILTER (WHERE place <= 10))) AS evidence,
    2 * count(*) AS evidence_count,
    count(*) AS times,
    CAST(max(wait) AS DOUBLE) / 3600 AS longest_wait_hours,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM exits
GROUP BY entity
HAVING count(*) >= $times AND sum(usd) >= 1000000 * $total_usd
