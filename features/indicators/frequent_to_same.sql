-- One private wallet pays the same other one many times within a day.
WITH windows AS (
    SELECT
        payer,
        payee,
        seq,
        moment,
        usd,
        count(*) OVER (
            PARTITION BY payer, payee ORDER BY moment RANGE BETWEEN 3600 * $hours PRECEDING AND CURRENT ROW
        ) AS payments
    FROM payment
    WHERE payer_private AND payee_private
),
best AS (
    SELECT payer, payee, moment AS ending
    FROM windows
    WHERE payments >= $payments
    QUALIFY row_number() OVER (PARTITION BY payer ORDER BY payments DESC, seq, payee) = 1
),
shown AS (
    SELECT windows.*, row_number() OVER (PARTITION BY windows.payer ORDER BY windows.seq) AS place
    FROM best
    JOIN windows ON windows.payer = best.payer AND windows.payee = best.payee
    WHERE moment BETWEEN ending - 3600 * $hours AND ending
)
SELECT
    payer AS entity,
    CAST(count(*) AS DOUBLE) / (count(*) + $payments) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS payments,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM shown
GROUP BY payer
