-- A wallet that lay still for long receives a sum and passes it on within days.
WITH steps AS (
    SELECT *, moment - lag(moment) OVER (PARTITION BY entity ORDER BY seq, direction DESC) AS silence
    FROM movement
),
woken AS (
    SELECT entity, asset, seq, moment, amount, usd, silence
    FROM steps
    WHERE direction = 'in' AND silence >= 86400 * $silent_days AND usd >= 1000000 * $received_usd
),
onward AS (
    SELECT
        woken.entity,
        woken.seq AS woken_seq,
        woken.usd,
        woken.silence,
        woken.amount,
        later.seq,
        later.amount AS paid,
        row_number() OVER (PARTITION BY woken.entity, woken.seq ORDER BY later.amount DESC, later.seq) AS place
    FROM woken
    JOIN movement AS later ON later.entity = woken.entity AND later.asset = woken.asset
    WHERE later.direction = 'out' AND later.seq > woken.seq AND later.moment <= woken.moment + 3600 * $hours
),
passed AS (
    SELECT
        entity,
        woken_seq,
        max(usd) AS usd,
        max(silence) AS silence,
        least(CAST(sum(paid) AS DOUBLE) / CAST(max(amount) AS DOUBLE), 1.0) AS passed_share,
        list(seq) FILTER (WHERE place <= 19) AS payments,
        count(*) AS transfers
    FROM onward
    GROUP BY entity, woken_seq
    HAVING CAST(sum(paid) AS DOUBLE) >= $passed_share * CAST(max(amount) AS DOUBLE)
)
SELECT
    entity,
    CAST(silence AS DOUBLE) / (silence + 86400 * $silent_days) AS strength,
    list_sort(list_append(payments, woken_seq)) AS evidence,
    transfers + 1 AS evidence_count,
    CAST(silence AS DOUBLE) / 86400 AS silence_days,
    CAST(usd AS DOUBLE) / 1000000 AS received_usd,
    passed_share
FROM passed
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY silence DESC, woken_seq) = 1
