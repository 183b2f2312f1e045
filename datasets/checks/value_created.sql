-- A transfer pays out no more than it takes in. On a UTXO chain the rest is the fee.
-- On an account chain both sides are equal, except that a fee may be burned in part.
WITH moved AS (  -- in halves of 60 bits, whose sums stay within HUGEINT
    SELECT transfer,
           count(*) FILTER (side = 'payer') AS payers, count(*) FILTER (side = 'payee') AS payees,
           sum(if(side = 'payer', amount >> 60, -(amount >> 60))) AS high,
           sum(if(side = 'payer', 1, -1) * (amount & 1152921504606846975)) AS low
    FROM leg GROUP BY transfer
)
SELECT c.caip2 AS chain, t.height, t.hash, NULL::VARCHAR AS account,
       t.kind || ' transfer of ' || s.reference
       || if(m.high + (m.low >> 60) < 0, ' pays out more than it takes in', ' loses a part of what it takes in')
       AS what
FROM moved AS m
JOIN transfer AS t ON t.transfer = m.transfer
JOIN chain AS c ON c.chain = t.chain
JOIN asset AS s ON s.asset = t.asset
WHERE m.payers > 0 AND m.payees > 0
  AND (m.high + (m.low >> 60) < 0 OR (NOT c.utxo AND t.kind <> 'fee' AND (m.high <> 0 OR m.low <> 0)))
