-- A transfer has the sides that its kind has: one payer and one payee at most on an account chain (but several
-- may share a fee); no payer
-- for what is created (rewards, withdrawals, genesis, minted tokens), no payee for what is destroyed (burned
-- tokens, a self-destruct to itself, a fee that is burned whole).
WITH counted AS (
    SELECT transfer, count(*) FILTER (side = 'payer') AS payers, count(*) FILTER (side = 'payee') AS payees
    FROM leg GROUP BY transfer
),
judged AS (
    SELECT t.transfer, CASE
        WHEN t.kind IN ('reward', 'withdrawal', 'genesis') AND n.payers > 0 THEN 'has a payer'
        WHEN t.kind IN ('reward', 'withdrawal', 'genesis') AND n.payees = 0 THEN 'has no payee'
        WHEN NOT c.utxo AND n.payers > 1 THEN 'has ' || n.payers || ' payers'
        WHEN NOT c.utxo AND n.payees > 1 AND t.kind <> 'fee' THEN 'has ' || n.payees || ' payees'
        WHEN c.utxo AND n.payees = 0 THEN 'has no payee'
        WHEN t.kind IN ('native', 'internal', 'fee') AND n.payers = 0 THEN 'has no payer'
        WHEN t.kind = 'native' AND n.payees = 0 THEN 'has no payee'
    END AS fault
    FROM counted AS n
    JOIN transfer AS t ON t.transfer = n.transfer
    JOIN chain AS c ON c.chain = t.chain
)
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer of ' || s.reference || ' ' || j.fault AS what
FROM judged AS j
JOIN transfer AS t ON t.transfer = j.transfer
JOIN chain AS c ON c.chain = t.chain
LEFT JOIN asset AS s ON s.asset = t.asset
WHERE j.fault IS NOT NULL
