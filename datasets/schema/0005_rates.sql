-- Prices finer than a millionth of a dollar, and prices that hold on every chain.

ALTER TABLE price ADD COLUMN units BIGINT DEFAULT 1;       -- usd_micro is the price of this many whole units

-- The same for a state's currency or a native coin wherever it is listed; a price of its own chain goes before.
CREATE TABLE rate (
    reference VARCHAR NOT NULL,       -- as in asset: iso4217:KZT, slip44:60
    day DATE NOT NULL,
    usd_micro BIGINT NOT NULL,
    units BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (reference, day)
);
