-- Transactions in which several owners pay together, by their equal outputs: their inputs share no owner.
-- `family` says which protocol made them, NULL where none did; `coinjoin` is true for every family.
-- Thresholds are facts of the protocols (docs/entities.md names the sources), not fitted to any sample.
--
-- whirlpool   5 to 10 payers, as many inputs, and as many outputs of one pool's amount (0.001, 0.01, 0.05 or
--             0.5 BTC) and nothing else; an input holds the pool's amount, and at most 0.001 BTC more for the fee
-- wasabi2     21 inputs or more, as clients and coordinators ask at the least; most outputs are of standard
--             amounts from 5,000 satoshi up (2^k, 3^k, 2*3^k, and 1, 2, 5 times 10^k), and most are repeated
-- wasabi1     10 equal outputs or more, no more than there are payers; beside them change, further levels of
--             twice the amount, and the coordinator's fee: not more than two for each equal output
-- joinmarket  a taker and, by the default, at least 4 makers: an equal output for each, change for all but possibly
--             one. With 10 parties or more of nearly 0.1 BTC each it is rather Wasabi 1, whose amount that is
-- other       as many payers as equal outputs, and nothing else: nobody would split an own payment so
--
-- None of these writes a data output. A Tx0, which prepares one owner's coins for Whirlpool, does.
ALTER TABLE seen_transfer ADD COLUMN family VARCHAR;

CREATE TABLE coinjoin_family AS
WITH RECURSIVE exponent AS (
    SELECT CAST(0 AS INTEGER) AS k
    UNION ALL SELECT k + 1 FROM exponent WHERE k < 42
),
standard AS (
    SELECT DISTINCT amount
    FROM (
        SELECT CAST(round(factor * power(CAST(base AS DOUBLE), k)) AS HUGEINT) AS amount
        FROM exponent,
            (VALUES (2, 1), (3, 1), (3, 2), (10, 1), (10, 2), (10, 5)) AS series (base, factor)
        WHERE factor * power(CAST(base AS DOUBLE), k) BETWEEN 5000 AND 4300000000000
    )
),
paid AS (
    SELECT seq, count(*) AS inputs, count(DISTINCT address) AS payers, min(amount) AS least, max(amount) AS most
    FROM seen_leg WHERE spent_seq IS NOT NULL
    GROUP BY seq HAVING count(*) >= 5
),
output AS (
    SELECT seq, amount, count(*) AS times
    FROM seen_leg SEMI JOIN paid USING (seq)
    WHERE side = 'payee' GROUP BY seq, amount
),
shape AS (
    SELECT
        o.seq,
        max(o.times) AS equal,
        max(o.amount) FILTER (WHERE o.times = top.times) AS amount,
        sum(o.times) AS outputs,
        coalesce(sum(o.times) FILTER (WHERE o.times > 1), 0) AS repeated,
        coalesce(sum(o.times) FILTER (WHERE s.amount IS NOT NULL), 0) AS standards
    FROM output AS o
    JOIN (SELECT seq, max(times) AS times FROM output GROUP BY seq) AS top ON top.seq = o.seq
    LEFT JOIN standard AS s ON s.amount = o.amount
    GROUP BY o.seq
),
told AS (
    SELECT
        seq,
        CASE
            WHEN equal BETWEEN 5 AND 10 AND outputs = equal AND inputs = equal AND payers = equal
                AND amount IN (100000, 1000000, 5000000, 50000000)
                AND least >= amount AND most <= amount + 100000
                THEN 'whirlpool'
            WHEN payers >= 21 AND outputs >= 21 AND 2 * standards >= outputs AND 2 * repeated >= outputs
                THEN 'wasabi2'
            WHEN equal >= 10 AND payers >= equal AND outputs <= 3 * equal
                AND (amount BETWEEN 8000000 AND 12000000 OR outputs NOT BETWEEN 2 * equal - 1 AND 2 * equal)
                THEN 'wasabi1'
            WHEN equal >= 5 AND payers >= equal AND outputs BETWEEN 2 * equal - 1 AND 2 * equal
                THEN 'joinmarket'
            WHEN equal BETWEEN 5 AND 10 AND outputs = equal AND payers = equal
                THEN 'other'
        END AS family
    FROM shape JOIN paid USING (seq)
)
SELECT told.seq, told.family
FROM told
JOIN seen_transfer AS t ON t.seq = told.seq
ANTI JOIN ledger.leg AS data ON data.transfer = t.transfer AND data.side = 'payee' AND data.amount = 0
WHERE told.family IS NOT NULL;

UPDATE seen_transfer SET coinjoin = true, family = f.family
FROM coinjoin_family AS f WHERE f.seq = seen_transfer.seq;

DROP TABLE coinjoin_family;
