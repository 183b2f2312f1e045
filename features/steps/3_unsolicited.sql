-- What strangers put into a history unasked. It stays in the ledger and counts for nobody (docs/features.md).
--
-- On a UTXO chain: an output of at most 1,000 of the smallest unit (1,000,000 on Dogecoin), paid to an address
-- that is not among its payers, that nothing seen spends. Bitcoin Core does not relay less than 294 to 546 of
-- them (policy/policy.cpp); what is sent to mark wallets lies just above. An output that is spent counts again.
CREATE TABLE dust_output AS
SELECT t.transfer, l.index
FROM counted AS t
JOIN ledger.chain AS c ON c.chain = t.chain AND c.utxo
JOIN ledger.leg AS l ON l.transfer = t.transfer
LEFT JOIN spend AS s ON s.creator = t.place AND s.spent_index = l.index
WHERE l.side = 'payee'
    AND l.amount BETWEEN 1 AND 1000000
    AND (l.amount <= 1000 OR c.caip2 = 'bip122:1a91e3dace36e2be3bf030a65679fe82')
    AND t.kind = 'native'
    AND s.spender IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM ledger.leg AS own
        WHERE own.transfer = t.transfer AND own.side = 'payer' AND own.address = l.address
    );

-- On an account chain balances mix, so that nobody can say whether a receipt was spent. There it is a receipt of
-- at most one US cent (of unknown price: a millionth of a unit) from a payer with whom the address has no other
-- dealing: nothing larger from them, and nothing to them. Payment systems know who pays: there every cent counts.
CREATE TABLE dust_transfer AS
WITH move AS (
    SELECT t.transfer, p.address AS payer, r.address AS payee,
        CASE
            WHEN w.day IS NOT NULL
                THEN CAST(r.amount AS DOUBLE) * w.usd_micro <= 10000 * power(CAST(10 AS DOUBLE), a.decimals) * w.units
            WHEN a.usd_pegged
                THEN CAST(r.amount AS DOUBLE) * 1000000 <= 10000 * power(CAST(10 AS DOUBLE), a.decimals)
            ELSE CAST(r.amount AS DOUBLE) * 1000000 <= power(CAST(10 AS DOUBLE), a.decimals)
        END AS small
    FROM counted AS t
    JOIN ledger.chain AS c ON c.chain = t.chain AND NOT c.utxo AND NOT starts_with(c.caip2, 'payments:')
    JOIN ledger.asset AS a ON a.asset = t.asset
    JOIN ledger.leg AS p ON p.transfer = t.transfer AND p.side = 'payer' AND p.amount > 0
    JOIN ledger.leg AS r ON r.transfer = t.transfer AND r.side = 'payee' AND r.amount > 0
    LEFT JOIN worth AS w ON w.asset = t.asset AND w.day = CAST(t.time AS DATE)
    WHERE t.kind IN ('native', 'internal', 'token') AND p.address <> r.address
),
dealing AS (
    SELECT payer, payee FROM move WHERE NOT small
    UNION ALL SELECT payee, payer FROM move
)
SELECT transfer
FROM move
ANTI JOIN dealing ON dealing.payer = move.payer AND dealing.payee = move.payee
GROUP BY transfer
HAVING bool_and(small);
