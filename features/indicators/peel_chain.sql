-- Hypothesis: a large output is spent again and again, each time peeling off a small payment and moving the rest to
-- another address, within hours. UTXO chains only. Chains are followed for 128 links.
WITH shapes AS (
    SELECT
        seq,
        max(CASE WHEN side = 'payer' THEN address END) AS payer,
        max(CASE WHEN side = 'payer' THEN spent_seq END) AS spent_seq,
        max(CASE WHEN side = 'payer' THEN spent_index END) AS spent_index,
        max(CASE WHEN side = 'payee' THEN amount END) AS larger,
        min(CASE WHEN side = 'payee' THEN amount END) AS smaller,
        max_by(CASE WHEN side = 'payee' THEN index END, CASE WHEN side = 'payee' THEN amount END) AS rest_index,
        max_by(CASE WHEN side = 'payee' THEN address END, CASE WHEN side = 'payee' THEN amount END) AS rest_address
    FROM seen_leg
    GROUP BY seq
    HAVING count(*) FILTER (WHERE side = 'payee') = 2
        AND count(*) FILTER (WHERE side = 'payer') = 1
        AND max(CASE WHEN side = 'payer' THEN spent_seq END) IS NOT NULL
),
peels AS (
    SELECT
        shapes.*,
        member.entity,
        date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', t.time)) AS moment
    FROM shapes
    JOIN seen_transfer AS t ON t.seq = shapes.seq
    JOIN member ON member.address = shapes.payer
    JOIN party ON party.entity = member.entity AND party.private
    WHERE CAST(smaller AS DOUBLE) <= $peel_share * (CAST(larger AS DOUBLE) + CAST(smaller AS DOUBLE))
        AND rest_address <> shapes.payer
),
jump_1 AS (
    SELECT peels.seq, before.seq AS root, CASE WHEN before.seq IS NULL THEN 0 ELSE 1 END AS steps
    FROM peels
    LEFT JOIN peels AS before ON before.seq = peels.spent_seq AND before.rest_index = peels.spent_index
        AND peels.moment - before.moment <= 3600 * $hours
),
jump_2 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_1 AS a LEFT JOIN jump_1 AS b ON b.seq = a.root
),
jump_4 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_2 AS a LEFT JOIN jump_2 AS b ON b.seq = a.root
),
jump_8 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_4 AS a LEFT JOIN jump_4 AS b ON b.seq = a.root
),
jump_16 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_8 AS a LEFT JOIN jump_8 AS b ON b.seq = a.root
),
jump_32 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_16 AS a LEFT JOIN jump_16 AS b ON b.seq = a.root
),
jump_64 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_32 AS a LEFT JOIN jump_32 AS b ON b.seq = a.root
),
jump_128 AS (
    SELECT a.seq, coalesce(b.root, a.root) AS root, a.steps + coalesce(b.steps, 0) AS steps
    FROM jump_64 AS a LEFT JOIN jump_64 AS b ON b.seq = a.root
),
links AS (
    SELECT jump_128.seq, coalesce(jump_128.root, jump_128.seq) AS root, jump_128.steps
    FROM jump_128
    LEFT JOIN jump_1 AS start ON start.seq = jump_128.root
    WHERE coalesce(start.steps, 0) = 0
),
chains AS (
    SELECT
        links.root,
        count(*) AS links,
        CAST(max(peels.larger) AS DOUBLE) AS first_rest,
        CAST(sum(peels.smaller) AS DOUBLE) AS peeled,
        CAST(max(peels.moment) - min(peels.moment) AS DOUBLE) / 3600 AS hours,
        list_sort(list(links.seq) FILTER (WHERE links.steps < 20)) AS evidence
    FROM links
    JOIN peels ON peels.seq = links.seq
    GROUP BY links.root
    HAVING count(*) >= $links
)
SELECT
    peels.entity,
    CAST(chains.links AS DOUBLE) / (chains.links + $links) AS strength,
    chains.evidence,
    chains.links AS evidence_count,
    chains.links,
    chains.hours,
    chains.peeled / (chains.peeled + chains.first_rest) AS peeled_share
FROM chains
JOIN links ON links.root = chains.root
JOIN peels ON peels.seq = links.seq
QUALIFY row_number() OVER (PARTITION BY peels.entity ORDER BY chains.links DESC, chains.root, links.seq) = 1
