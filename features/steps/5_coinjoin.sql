-- Transactions in which several owners pay together, by their equal outputs. Their inputs share no owner.
-- Thresholds come from the protocols. Whirlpool mixes 5 to 10 equal inputs and outputs of a fixed pool. Wasabi 1
-- gives 10 equal outputs and more, no more than there are payers, with change and little else. Wasabi 2 asks for
-- at least 50 inputs and pays in standard denominations, many of them repeated. JoinMarket makes one equal output
-- a party (a taker and, by its default, at least 4 makers), and change for all parties but possibly one.
-- In an exchange's payouts a few equal ones stand among many others, and few addresses pay.
UPDATE seen_transfer SET coinjoin = true
WHERE seq IN (
    WITH output AS (
        SELECT seq, amount, count(*) AS times
        FROM seen_leg WHERE side = 'payee' GROUP BY seq, amount
    ),
    shape AS (
        SELECT
            seq,
            max(times) AS equal,
            sum(times) AS outputs,
            coalesce(sum(times) FILTER (WHERE times > 1), 0) AS repeated
        FROM output GROUP BY seq
    ),
    paid AS (
        SELECT seq, count(*) AS inputs, count(DISTINCT address) AS payers
        FROM seen_leg WHERE side = 'payer' AND spent_seq IS NOT NULL GROUP BY seq
    )
    SELECT seq
    FROM shape JOIN paid USING (seq)
    WHERE (equal BETWEEN 5 AND 10 AND outputs = equal AND payers = equal)                        -- Whirlpool
       OR (equal >= 10 AND payers >= equal AND outputs <= 3 * equal)                             -- Wasabi 1
       OR (payers >= 50 AND outputs >= 50 AND 2 * repeated >= outputs)                           -- Wasabi 2
       OR (equal >= 5 AND payers >= equal AND outputs BETWEEN 2 * equal - 1 AND 2 * equal)       -- JoinMarket
);
