-- Labels: the actors that tags refer to, the substances that a label names, and which sources a list speaks for.

ALTER TABLE label ADD COLUMN actor VARCHAR DEFAULT '';         -- id of an actor, as the tag has it; '' where it names none
ALTER TABLE label ADD COLUMN substances VARCHAR[] DEFAULT [];  -- ids of datasets/substances.toml
UPDATE label SET actor = entity
FROM label_file AS f
WHERE f.label_file = label.label_file AND f.kind = 'tagpack' AND NOT (cluster_definer AND entity = name);

-- A newer issue withdraws what it no longer says only of the sources that it covers.
ALTER TABLE label_file ADD COLUMN covers VARCHAR[] DEFAULT [];
UPDATE label_file SET covers = ['OFAC SDN'] WHERE kind = 'ofac';

-- One row each time that a pack describes an actor. Nothing is overwritten: the latest description known counts.
CREATE TABLE actor (
    label_file INTEGER NOT NULL,
    position VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,           -- its id in packs
    name VARCHAR NOT NULL,
    category VARCHAR NOT NULL,        -- id of a category of the taxonomy
    categories VARCHAR[] NOT NULL,    -- the pack's own words
    uri VARCHAR NOT NULL,
    jurisdictions VARCHAR[] NOT NULL, -- ISO 3166-1 alpha-2
    aliases VARCHAR[] NOT NULL,       -- other ids by which tags may call it
    context VARCHAR NOT NULL,         -- JSON, as the pack has it; '' where it has none
    source VARCHAR NOT NULL,          -- who says so
    published_at TIMESTAMP,
    recorded_at TIMESTAMP NOT NULL,
    licence VARCHAR NOT NULL,
    may_export BOOLEAN NOT NULL,
    may_train BOOLEAN NOT NULL
);

-- What an actor is from one moment to the next, under its id and under each alias that is nobody's id.
CREATE VIEW actor_version AS
WITH called AS (
    SELECT actor AS called, * FROM actor
    UNION ALL
    SELECT other.called, a.*
    FROM actor AS a, unnest(a.aliases) AS other(called)
    WHERE other.called NOT IN (SELECT actor FROM actor)
),
latest AS (
    SELECT called, actor, name, category, source, licence, may_export, may_train, recorded_at,
           coalesce(published_at, recorded_at) AS known_at
    FROM called
    QUALIFY row_number() OVER (
        PARTITION BY called, coalesce(published_at, recorded_at)
        ORDER BY recorded_at DESC, actor, source, name, position
    ) = 1
)
SELECT called, actor, name, category, source, licence, may_export, may_train, recorded_at, known_at,
       lead(known_at) OVER (PARTITION BY called ORDER BY known_at) AS until
FROM latest;

-- The labels with what their actors add. A tag's own category stands; one without gets its actor's, from the moment
-- at which both were known, in rows that follow each other: every row holds from published_at to withdrawn_at.
-- The claim as the source made it stays in `label`.
CREATE VIEW attributed_label AS
WITH bare AS (
    SELECT * FROM label
    WHERE category = 'unspecified' AND actor <> '' AND actor IN (SELECT called FROM actor_version)
),
follows AS (
    SELECT b.*, v.category AS actor_category, v.name AS actor_name, v.may_export AS actor_export,
           v.may_train AS actor_train, v.recorded_at AS actor_recorded, v.known_at AS since, v.until
    FROM bare AS b JOIN actor_version AS v ON v.called = b.actor
    WHERE b.published_at IS NOT NULL OR v.until IS NULL
    UNION ALL
    SELECT b.*, 'unspecified', '', TRUE, TRUE, b.recorded_at, NULL,
           (SELECT min(v.known_at) FROM actor_version AS v WHERE v.called = b.actor)
    FROM bare AS b
    WHERE b.published_at IS NOT NULL
),
timed AS (
    SELECT * EXCLUDE (published_at, withdrawn_at),
           CASE WHEN published_at IS NOT NULL THEN greatest(published_at, coalesce(since, published_at)) END
               AS published_at,
           CASE WHEN until IS NULL THEN withdrawn_at
                WHEN withdrawn_at IS NULL THEN until
                ELSE least(withdrawn_at, until) END AS withdrawn_at
    FROM follows
)
SELECT label, label_file, position, chain, address, actor_category AS category, entity, name, source, reference,
       confidence, published_at, greatest(recorded_at, actor_recorded) AS recorded_at, withdrawn_at, licence,
       may_export AND actor_export AS may_export, may_train AND actor_train AS may_train, cluster_definer,
       programmes, listed_at, actor, actor_name, substances, category AS said_category
FROM timed
WHERE withdrawn_at IS NULL OR published_at IS NULL OR published_at < withdrawn_at
UNION ALL
SELECT l.label, l.label_file, l.position, l.chain, l.address, l.category, l.entity, l.name, l.source, l.reference,
       l.confidence, l.published_at, l.recorded_at, l.withdrawn_at, l.licence, l.may_export, l.may_train,
       l.cluster_definer, l.programmes, l.listed_at, l.actor, coalesce(v.name, ''), l.substances, l.category
FROM label AS l
LEFT JOIN actor_version AS v ON v.called = l.actor AND v.until IS NULL
WHERE NOT (l.category = 'unspecified' AND l.actor <> '' AND l.actor IN (SELECT called FROM actor_version));
