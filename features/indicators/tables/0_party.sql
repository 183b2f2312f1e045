-- Who each entity is to the indicators, one row each.
-- `kind`: the kind of service that its labels, or else its structure, make it; NULL where none is known.
-- `service`: the custodial service behind it: itself, or the one whose deposit address it is. Entities that labels
-- say have one owner are one service, by the number of the first of them.
-- `private`: no service and no deposit address, as far as is known.
-- Moments are whole seconds since 1970.
CREATE TABLE party AS
WITH labelled AS (
    SELECT
        member.entity,
        min(CASE category.service
            WHEN 'custodial' THEN 1 WHEN 'mixer' THEN 2 WHEN 'bridge' THEN 3 WHEN 'convert' THEN 4
        END) AS kind,
        bool_or(category.id = 'darknet_market') AS market,
        bool_or(category.id = 'precursor_supplier') AS supplier,
        bool_or(category.id = 'cash_out_exchanger') AS exchanger
    FROM seed
    JOIN category ON category.number = seed.category
    JOIN member ON member.address = seed.address
    GROUP BY member.entity
),
alike AS (
    SELECT DISTINCT entity FROM unknown_service
),
owners AS (
    SELECT member.entity, min(lower(l.entity)) AS owner
    FROM ledger.attributed_label AS l
    JOIN member ON member.address = l.address
    WHERE l.entity <> ''
        AND l.confidence >= $confidence
        AND l.published_at < $as_of
        AND (l.withdrawn_at IS NULL OR l.withdrawn_at > $as_of)
    GROUP BY member.entity
),
-- Which entities are custodial services, and which of them are one.
services AS (
    SELECT
        found.entity,
        min(found.entity) OVER (
            PARTITION BY coalesce(owners.owner, 'entity ' || CAST(found.entity AS VARCHAR))
        ) AS service
    FROM (
        SELECT entity FROM labelled WHERE kind = 1
        UNION
        SELECT entity FROM alike
    ) AS found
    LEFT JOIN owners ON owners.entity = found.entity
),
deposits AS (
    SELECT member.entity, min(services.service) AS service
    FROM deposit_of
    JOIN member ON member.address = deposit_of.address
    JOIN member AS wallet ON wallet.address = deposit_of.service
    JOIN services ON services.entity = wallet.entity
    GROUP BY member.entity
),
lives AS (
    SELECT
        entity,
        min(seq) AS first_seq,
        min(date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', time))) AS first_moment,
        max(date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', time))) AS last_moment,
        count(*) FILTER (WHERE direction = 'in') AS receipts,
        count(*) FILTER (WHERE direction = 'out') AS payments
    FROM flow
    GROUP BY entity
),
entities AS (
    SELECT DISTINCT entity FROM member
)
SELECT
    entities.entity,
    CASE labelled.kind
        WHEN 1 THEN 'custodial' WHEN 2 THEN 'mixer' WHEN 3 THEN 'bridge' WHEN 4 THEN 'convert'
        ELSE CASE WHEN alike.entity IS NOT NULL THEN 'unknown_service' END
    END AS kind,
    coalesce(labelled.market, false) AS market,
    coalesce(labelled.supplier, false) AS supplier,
    coalesce(labelled.exchanger, false) AS exchanger,
    coalesce(services.service, CASE WHEN labelled.kind IS NULL THEN deposits.service END) AS service,
    labelled.kind IS NULL AND alike.entity IS NULL AND deposits.entity IS NULL AS private,
    lives.first_seq,
    lives.first_moment,
    lives.last_moment,
    coalesce(lives.receipts, 0) AS receipts,
    coalesce(lives.payments, 0) AS payments
FROM entities
LEFT JOIN labelled ON labelled.entity = entities.entity
LEFT JOIN alike ON alike.entity = entities.entity
LEFT JOIN services ON services.entity = entities.entity
LEFT JOIN deposits ON deposits.entity = entities.entity
LEFT JOIN lives ON lives.entity = entities.entity
ORDER BY entities.entity;
