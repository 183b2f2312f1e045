-- Transfers of value at even steps, then a long silence while the chain went on.
WITH sized AS (
    SELECT
        entity,
        direction,
        asset,
        seq,
        moment,
        usd,
        moment - lag(moment) OVER (PARTITION BY entity, direction, asset ORDER BY seq) AS step
    FROM movement
    WHERE usd >= 1000000 * $value_usd
),
series AS (
    SELECT
        entity,
        direction,
        asset,
        count(*) AS transfers,
        min(step) AS shortest,
        max(step) AS longest,
        CAST(sum(usd) AS DOUBLE) / 1000000 AS total_usd,
        min(seq) AS first_seq
    FROM sized
    GROUP BY entity, direction, asset
    HAVING count(*) >= $transfers AND min(step) >= 3600 * $least_step_hours AND max(step) <= 2 * min(step)
),
heads AS (
    SELECT
        chain,
        max(date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', time))) AS head
    FROM seen_transfer
    GROUP BY chain
),
silent AS (
    SELECT series.*, heads.head - party.last_moment AS silence
    FROM series
    JOIN party ON party.entity = series.entity
    JOIN ledger.asset AS a ON a.asset = series.asset
    JOIN heads ON heads.chain = a.chain
    WHERE heads.head - party.last_moment >= 86400 * $silent_days
        AND heads.head - party.last_moment >= 4 * series.longest
    QUALIFY row_number() OVER (PARTITION BY series.entity ORDER BY transfers DESC, series.first_seq, direction) = 1
),
shown AS (
    SELECT
        silent.*,
        sized.seq,
        row_number() OVER (PARTITION BY sized.entity ORDER BY sized.seq DESC) AS place
    FROM silent
    JOIN sized ON sized.entity = silent.entity AND sized.direction = silent.direction AND sized.asset = silent.asset
)
SELECT
    entity,
    CAST(max(silence) AS DOUBLE) / (max(silence) + 86400 * $silent_days) AS strength,
    list_sort(list(seq) FILTER (WHERE place <= 20)) AS evidence,
    count(*) AS evidence_count,
    count(*) AS transfers,
    CAST(max(longest) AS DOUBLE) / 86400 AS longest_step_days,
    CAST(max(silence) AS DOUBLE) / 86400 AS silence_days,
    max(total_usd) AS total_usd
FROM shown
GROUP BY entity
