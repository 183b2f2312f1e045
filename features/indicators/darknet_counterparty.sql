-- Direct dealings with a labelled darknet market, above what a small buyer spends.
WITH dealings AS (
    SELECT payer AS entity, seq, 'sent' AS side, usd FROM payment WHERE payer_private AND payee_market
    UNION ALL
    SELECT payee AS entity, seq, 'received' AS side, usd FROM payment WHERE payee_private AND payer_market
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY entity, side ORDER BY usd DESC NULLS LAST, seq) AS place
    FROM dealings
)
SELECT
    entity,
    CAST(sum(usd) AS DOUBLE) / 1000000 / (CAST(sum(usd) AS DOUBLE) / 1000000 + $total_usd) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    side,
    count(*) AS transfers,
    CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd
FROM placed
GROUP BY entity, side
HAVING sum(usd) >= 1000000 * $total_usd
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY sum(usd) DESC, side) = 1
