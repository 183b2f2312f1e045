-- What following a node needs: the stretches of blocks that are whole, the node's own head, and freezes.

ALTER TABLE quarantine ADD COLUMN height BIGINT;           -- block of a row that came from a node
ALTER TABLE batch ADD COLUMN replaced BIGINT DEFAULT 0;    -- transfers since replaced by a node's own blocks

-- Stretches of heights read from a node without a gap; one never touches or overlaps another of its chain.
-- Written in the same transaction as the rows: this is how far a chain has been followed.
DROP TABLE cursor_position;
CREATE TABLE synced (
    chain SMALLINT NOT NULL,
    first_height BIGINT NOT NULL,
    last_height BIGINT NOT NULL
);

-- What the node said of itself when it was last read.
CREATE TABLE node_head (
    chain SMALLINT PRIMARY KEY,
    url VARCHAR NOT NULL,             -- without credentials
    software VARCHAR NOT NULL,
    height BIGINT NOT NULL,           -- its newest block
    final_height BIGINT NOT NULL,     -- its newest final block; -1 where there is none
    seen_at TIMESTAMP NOT NULL
);

-- An issuer froze or released what an account holds of its token: a dated claim of the issuer.
CREATE TABLE freeze_event (
    batch INTEGER NOT NULL,
    chain SMALLINT NOT NULL,
    height BIGINT NOT NULL,
    position INTEGER NOT NULL,
    part INTEGER NOT NULL,
    time TIMESTAMP NOT NULL,
    hash BLOB NOT NULL,
    asset INTEGER NOT NULL,
    address BIGINT NOT NULL,
    frozen BOOLEAN NOT NULL
);

-- Tokens whose events are to be read as those of another well-known one; said once, used from then on.
CREATE TABLE token_profile (
    chain SMALLINT NOT NULL,
    contract VARCHAR NOT NULL,
    profile VARCHAR NOT NULL,
    PRIMARY KEY (chain, contract)
);
