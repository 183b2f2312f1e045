-- What one address did by itself. One row per address with a transfer before $as_of.
-- Amounts are capped at 10^31 raw units, so that no sum leaves 128 bits.
WITH flows AS (
    SELECT
        address,
        seq,
        asset,
        direction,
        least(amount, 10000000000000000000000000000000) AS amount,
        date_diff('second', date_trunc('second', time), date_trunc('second', $as_of)) AS seconds_ago
    FROM address_flow
    WHERE time < $as_of
),
per_asset AS (
    SELECT
        address,
        count(*) AS transfers,
        min(seq) AS first_seq,
        count(*) FILTER (WHERE direction = 'in') AS transfers_in,
        count(*) FILTER (WHERE direction = 'out') AS transfers_out,
        sum(amount) AS turnover,
        sum(CASE WHEN direction = 'out' THEN amount ELSE 0 END) AS sent,
        max(seconds_ago) AS first_ago,
        min(seconds_ago) AS last_ago
    FROM flows
    GROUP BY address, asset
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY address ORDER BY transfers DESC, first_seq) AS place
    FROM per_asset
)
SELECT
    address,
    sum(transfers_in) AS address_transfers_in,
    sum(transfers_out) AS address_transfers_out,
    CAST(max(first_ago) AS DOUBLE) / 86400 AS address_age_days,
    CAST(max(first_ago) - min(last_ago) AS DOUBLE) / 86400 AS address_span_days,
    max(CASE WHEN place = 1 THEN CAST(sent AS DOUBLE) / CAST(turnover AS DOUBLE) END) AS address_sent_share
FROM ranked
GROUP BY address
