-- Who alone paid each transfer; what an entity pays itself is change, and no flow.
CREATE TABLE sole_payer AS
SELECT l.seq, min(m.entity) AS entity
FROM seen_leg AS l JOIN member AS m USING (address)
WHERE l.side = 'payer'
GROUP BY l.seq
HAVING min(m.entity) = max(m.entity);

CREATE TABLE foreign_leg AS
SELECT l.seq, m.entity, l.amount, l.usd, s.entity AS payer
FROM seen_leg AS l
JOIN member AS m USING (address)
LEFT JOIN sole_payer AS s ON s.seq = l.seq
WHERE l.side = 'payee' AND (s.entity IS NULL OR s.entity <> m.entity);

-- A sum of values of which one is unknown is unknown.
CREATE TABLE flow AS
WITH received AS (
    SELECT entity, seq, 'in' AS direction, sum(amount) AS amount,
        CASE WHEN count(usd) = count(*) THEN try_cast(sum(usd) AS BIGINT) END AS usd
    FROM foreign_leg GROUP BY entity, seq
),
paid_alone AS (
    SELECT payer AS entity, seq, 'out' AS direction, sum(amount) AS amount,
        CASE WHEN count(usd) = count(*) THEN try_cast(sum(usd) AS BIGINT) END AS usd
    FROM foreign_leg WHERE payer IS NOT NULL GROUP BY payer, seq
),
paid_together AS (
    SELECT m.entity, l.seq, 'out' AS direction, sum(l.amount) AS amount,
        CASE WHEN count(l.usd) = count(*) THEN try_cast(sum(l.usd) AS BIGINT) END AS usd
    FROM seen_leg AS l
    JOIN member AS m USING (address)
    LEFT JOIN sole_payer AS s ON s.seq = l.seq
    WHERE l.side = 'payer' AND s.seq IS NULL
    GROUP BY m.entity, l.seq
),
-- What is burned or redeemed on an account chain leaves its payer and reaches nobody.
burned AS (
    SELECT s.entity, l.seq, 'out' AS direction, sum(l.amount) AS amount,
        CASE WHEN count(l.usd) = count(*) THEN try_cast(sum(l.usd) AS BIGINT) END AS usd
    FROM seen_leg AS l
    JOIN sole_payer AS s ON s.seq = l.seq
    ANTI JOIN seen_leg AS p ON p.seq = l.seq AND p.side = 'payee'
    WHERE l.side = 'payer' AND l.spent_seq IS NULL
    GROUP BY s.entity, l.seq
)
SELECT f.entity, f.seq, t.time, t.asset, f.direction, f.amount, f.usd, t.coinjoin
FROM (
    SELECT * FROM received
    UNION ALL SELECT * FROM paid_alone
    UNION ALL SELECT * FROM paid_together
    UNION ALL SELECT * FROM burned
) AS f
JOIN seen_transfer AS t ON t.seq = f.seq
ORDER BY f.entity, f.seq, f.direction;

CREATE TABLE edge AS
SELECT f.payer, f.entity AS payee, f.seq, t.time, t.asset, sum(f.amount) AS amount,
    CASE WHEN count(f.usd) = count(*) THEN try_cast(sum(f.usd) AS BIGINT) END AS usd
FROM foreign_leg AS f
JOIN seen_transfer AS t ON t.seq = f.seq
WHERE f.payer IS NOT NULL AND NOT t.coinjoin
GROUP BY f.payer, f.entity, f.seq, t.time, t.asset
ORDER BY f.payer, f.entity, f.seq;

CREATE TABLE address_flow AS
SELECT l.address, l.seq, t.time, t.asset,
    CASE WHEN l.side = 'payer' THEN 'out' ELSE 'in' END AS direction,
    sum(l.amount) AS amount,
    CASE WHEN count(l.usd) = count(*) THEN try_cast(sum(l.usd) AS BIGINT) END AS usd
FROM seen_leg AS l
JOIN seen_transfer AS t ON t.seq = l.seq
GROUP BY l.address, l.seq, t.time, t.asset, l.side
ORDER BY l.address, l.seq, direction;
DROP TABLE foreign_leg;
