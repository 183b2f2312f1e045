-- Entities that handle strangers' money and that no label names: tracing stops there and says so. Thresholds are
-- high, so that nobody looks like one cheaply. All of this holds for such an entity:
--   100 payers and 100 payees or more that are strangers: each deals with at least two others besides, so that
--   addresses made for the purpose do not count
--   receipts and payments on 30 days or more each
--   no payer makes more than a tenth of its receipts, and no payee gets more than a tenth of its payments
-- `known` are the labels that count: an entity with any of them is what the labels say.
-- `since_seq` is the transfer with which it had its hundredth payer and its hundredth payee.
CREATE TABLE unknown_service AS
WITH pair AS (
    SELECT payer, payee, count(*) AS transfers, min(seq) AS first_seq
    FROM edge WHERE payer <> payee GROUP BY payer, payee
),
company AS (
    SELECT entity, count(DISTINCT other) AS others
    FROM (SELECT payer AS entity, payee AS other FROM pair UNION ALL SELECT payee, payer FROM pair)
    GROUP BY entity
),
side AS (
    SELECT p.payee AS entity, 'in' AS direction, p.payer AS other, p.transfers, p.first_seq FROM pair AS p
    UNION ALL
    SELECT p.payer, 'out', p.payee, p.transfers, p.first_seq FROM pair AS p
),
counted AS (
    SELECT s.entity, s.direction, s.transfers, c.others >= 3 AS stranger,
        CASE WHEN c.others >= 3 THEN row_number() OVER (
            PARTITION BY s.entity, s.direction, c.others >= 3 ORDER BY s.first_seq, s.other
        ) END AS place,
        s.first_seq
    FROM side AS s JOIN company AS c ON c.entity = s.other
),
busy AS (
    SELECT entity, direction,
        count(*) FILTER (WHERE stranger) AS strangers,
        sum(transfers) AS transfers,
        max(first_seq) FILTER (WHERE place = 100) AS since_seq
    FROM counted
    GROUP BY entity, direction
    HAVING count(*) FILTER (WHERE stranger) >= 100 AND 10 * max(transfers) <= sum(transfers)
),
both_ways AS (
    SELECT i.entity, i.strangers AS payers, o.strangers AS payees, i.transfers + o.transfers AS transfers,
        greatest(i.since_seq, o.since_seq) AS since_seq
    FROM busy AS i JOIN busy AS o ON o.entity = i.entity AND o.direction = 'out'
    WHERE i.direction = 'in'
),
steady AS (
    SELECT b.entity
    FROM both_ways AS b JOIN edge AS e ON e.payee = b.entity OR e.payer = b.entity
    GROUP BY b.entity
    HAVING count(DISTINCT CAST(e.time AS DATE)) FILTER (WHERE e.payee = b.entity) >= 30
        AND count(DISTINCT CAST(e.time AS DATE)) FILTER (WHERE e.payer = b.entity) >= 30
)
SELECT b.entity, b.payers, b.payees, CAST(b.transfers AS BIGINT) AS transfers, b.since_seq
FROM both_ways AS b
SEMI JOIN steady AS s ON s.entity = b.entity
ANTI JOIN (SELECT m.entity FROM known AS k JOIN member AS m ON m.address = k.address) AS named
    ON named.entity = b.entity
ORDER BY b.entity;
