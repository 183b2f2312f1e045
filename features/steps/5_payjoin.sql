-- Spends that may be PayJoins: the payee adds an input of its own, so that the inputs belong to two owners
-- (BIP 78). On chain only those can be told that spend more than an ordinary payment would: without the smallest
-- input the others still pay the larger output and the fee ("unnecessary input", Ghesmati, Kern, Judmayer,
-- Stifter and Weippl 2021). That alone holds for many ordinary spends, so all of this must hold as well:
--   two outputs, as PayJoins have that batch nothing; two or three inputs, one or two of them the payer's
--   no address twice among inputs and outputs: a wallet that pays itself back, or sweeps one address, is alone
--   all inputs of one kind of script, as BIP 78 asked for until 2024
--   no output of a round amount (a multiple of 1,000): a payment's would be round, a PayJoin's never is but by
--   chance, since the payee's own coin is in it
--   after 8 August 2018, when the idea was published
-- `entities.py` then leaves out those that would glue together two clusters, and writes them to `payjoin_like`.
CREATE TABLE payjoin_suspect AS
WITH paid AS (
    SELECT seq, min(amount) AS least
    FROM seen_leg WHERE spent_seq IS NOT NULL
    GROUP BY seq HAVING count(*) BETWEEN 2 AND 3
),
suspect AS (
    SELECT l.seq
    FROM seen_leg AS l
    JOIN paid ON paid.seq = l.seq
    JOIN seen_transfer AS t ON t.seq = l.seq AND NOT t.coinjoin AND t.time >= TIMESTAMP '2018-08-08 00:00:00'
    WHERE l.side = 'payee'
    GROUP BY l.seq
    -- "all but the least input pay the larger output and the fee" says of two outputs: the smaller one is at
    -- least as large as the least input
    HAVING count(*) = 2 AND min(l.amount) >= any_value(paid.least) AND bool_and(l.amount % 1000 <> 0)
)
SELECT l.seq
FROM suspect
JOIN seen_leg AS l ON l.seq = suspect.seq
JOIN ledger.address AS a ON a.address = l.address
GROUP BY l.seq
HAVING count(DISTINCT l.address) = count(*)
    AND count(DISTINCT coalesce(
        nullif(regexp_extract(a.account, '^[a-z]+1[a-z]'), ''), substr(a.account, 1, 1)
    )) FILTER (WHERE l.side = 'payer') = 1
ORDER BY l.seq;
