-- The ledger: double entry, one row a transfer and one row a leg. Times are UTC. Amounts are raw integer units.
-- Keys are natural, `(chain, height, position, kind, part)` or, without heights, `(batch, row, kind, part)`;
-- `transfer` and `address` are dense integers for joins: they depend on the order of imports and never leave the ledger.

CREATE TYPE transfer_kind AS ENUM ('genesis', 'reward', 'native', 'internal', 'token', 'fee', 'withdrawal');
CREATE TYPE leg_side AS ENUM ('payer', 'payee');

CREATE TABLE chain (
    chain SMALLINT PRIMARY KEY,
    caip2 VARCHAR NOT NULL UNIQUE,
    name VARCHAR NOT NULL,
    utxo BOOLEAN NOT NULL,            -- legs spend earlier outputs, rather than a balance
    simulated BOOLEAN NOT NULL        -- of the simulated world: a model trained there sets a level there only
);

CREATE TABLE asset (
    asset INTEGER PRIMARY KEY,
    chain SMALLINT NOT NULL,
    reference VARCHAR NOT NULL,       -- asset part of the CAIP-19 id: slip44:0, trc20:T…, iso4217:USD
    symbol VARCHAR NOT NULL,
    decimals TINYINT NOT NULL,
    listed BOOLEAN NOT NULL,          -- an unlisted token makes no counterparty, no hop and no value
    usd_pegged BOOLEAN NOT NULL,      -- one unit is one US dollar
    UNIQUE (chain, reference)
);

-- One row an address ever seen. `key` is the lower half of md5(account): joins compare it first, then the text.
CREATE TABLE address (
    address BIGINT NOT NULL,
    chain SMALLINT NOT NULL,
    key UBIGINT NOT NULL,
    account VARCHAR NOT NULL          -- canonical text without the chain
);

-- Custody: where each row came from.
CREATE TABLE batch (
    batch INTEGER PRIMARY KEY,
    chain SMALLINT NOT NULL,
    layout VARCHAR NOT NULL,          -- bitcoin-etl, aws-btc, payments…
    source VARCHAR NOT NULL,          -- file name as given, or node
    sha256 VARCHAR NOT NULL,          -- of the file's bytes
    mapping VARCHAR NOT NULL,         -- JSON of the column mapping; '{}' where the layout has none
    loose BOOLEAN NOT NULL,           -- without heights: keyed by file and row, ordered by time
    first_height BIGINT,
    last_height BIGINT,
    first_time TIMESTAMP,
    last_time TIMESTAMP,
    source_rows BIGINT NOT NULL,
    transfers BIGINT NOT NULL,        -- added by this batch
    legs BIGINT NOT NULL,             -- added by this batch
    known BIGINT NOT NULL,            -- transfers that the ledger already held under their key: left as they were
    quarantined BIGINT NOT NULL,      -- source rows set aside
    lossy BIGINT NOT NULL,            -- transfers whose amount was rounded or came as a double
    repeated BIGINT NOT NULL,         -- exact repeats within the file: kept and counted
    duplicate BIGINT NOT NULL,        -- repeats of a row of an earlier loose batch: kept, not counted
    imported_at TIMESTAMP NOT NULL,
    code_version VARCHAR NOT NULL,
    UNIQUE (chain, layout, sha256, mapping)
);

CREATE TABLE block (
    chain SMALLINT NOT NULL,
    height BIGINT NOT NULL,
    hash BLOB NOT NULL,
    parent_hash BLOB,
    time TIMESTAMP NOT NULL
);

-- How far a chain has been followed, written in the same transaction as the rows up to there.
CREATE TABLE cursor_position (
    chain SMALLINT NOT NULL,
    source VARCHAR NOT NULL,
    height BIGINT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (chain, source)
);

CREATE TABLE transfer (
    transfer BIGINT NOT NULL,
    chain SMALLINT NOT NULL,
    batch INTEGER NOT NULL,
    row BIGINT NOT NULL,              -- row of the batch's source
    height BIGINT,
    position INTEGER,
    kind transfer_kind NOT NULL,
    part INTEGER NOT NULL,
    time TIMESTAMP NOT NULL,
    hash BLOB,                        -- transaction hash, or a payment's reference in UTF-8
    asset INTEGER NOT NULL,
    lossy BOOLEAN NOT NULL,
    repeated BOOLEAN NOT NULL,
    duplicate BOOLEAN NOT NULL,       -- not counted by anything that reads the ledger
    provisional BOOLEAN NOT NULL      -- above finality
);

CREATE TABLE leg (
    transfer BIGINT NOT NULL,
    side leg_side NOT NULL,
    index INTEGER NOT NULL,
    address BIGINT NOT NULL,
    amount HUGEINT NOT NULL,
    spent_hash BLOB,                  -- payer legs of a UTXO chain: the output that is spent
    spent_index INTEGER
);

CREATE TABLE quarantine (
    batch INTEGER NOT NULL,
    row BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);

-- Micro-USD for one whole unit of the asset on one day. No row means unknown, never zero.
CREATE TABLE price (
    chain SMALLINT NOT NULL,
    reference VARCHAR NOT NULL,
    day DATE NOT NULL,
    usd_micro BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (chain, reference, day)
);

-- Labels are claims. Nothing is overwritten: a claim that no longer holds gets `withdrawn_at`.
CREATE TABLE label_file (
    label_file INTEGER PRIMARY KEY,
    kind VARCHAR NOT NULL,            -- ofac, tagpack, csv
    source VARCHAR NOT NULL,          -- file name as given
    sha256 VARCHAR NOT NULL,
    issued_at TIMESTAMP,              -- what the list itself says of its date
    labels BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    UNIQUE (kind, sha256)
);

CREATE TABLE label (
    label BIGINT NOT NULL,
    label_file INTEGER NOT NULL,
    position VARCHAR NOT NULL,        -- where in the file: a tag's or row's number, a profile's id
    chain SMALLINT NOT NULL,
    address BIGINT NOT NULL,
    category VARCHAR NOT NULL,        -- id of a category of the taxonomy
    entity VARCHAR NOT NULL,          -- who the source says owns the address; '' where it does not say
    name VARCHAR NOT NULL,            -- the source's own words
    source VARCHAR NOT NULL,          -- who says so
    reference VARCHAR NOT NULL,       -- where they say it: a URL or list entry
    confidence DOUBLE NOT NULL,       -- 0 to 1
    published_at TIMESTAMP,           -- when the world could know; NULL gives targets, never seeds
    recorded_at TIMESTAMP NOT NULL,   -- when this installation knew
    withdrawn_at TIMESTAMP,
    licence VARCHAR NOT NULL,
    may_export BOOLEAN NOT NULL,
    may_train BOOLEAN NOT NULL,
    cluster_definer BOOLEAN NOT NULL, -- the source means the whole cluster, not this address alone
    programmes VARCHAR[] NOT NULL,    -- sanctions programmes; empty where this is no sanction
    listed_at DATE                    -- sanctions: the day on which the entity was listed
);

CREATE TABLE label_rejection (
    label_file INTEGER NOT NULL,
    position VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);
