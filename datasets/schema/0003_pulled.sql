-- Which histories of single addresses were read through an indexer, and how far: what answers may rest on.

CREATE TABLE pulled (
    chain SMALLINT NOT NULL,
    address BIGINT NOT NULL,
    layout VARCHAR NOT NULL,          -- kind of the source, as in batch: pull:esplora, pull:logs…
    source VARCHAR NOT NULL,          -- its URL without credentials
    first_height BIGINT NOT NULL,     -- from here…
    last_height BIGINT NOT NULL,      -- …to here everything is in that the source can tell
    complete BOOLEAN NOT NULL,        -- and nothing was cut off before
    transfers BIGINT NOT NULL,        -- that the source told of
    unread VARCHAR[] NOT NULL,        -- what it cannot tell of an address, each in a few words
    pulled_at TIMESTAMP NOT NULL
);
