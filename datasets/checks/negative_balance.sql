-- On an account chain that is whole from its first block nobody ever spends more of a conforming asset than
-- they have. Which assets can be judged is in judged_asset. (On a UTXO chain the checks of spends say more.)
WITH moved AS (  -- in halves of 60 bits, whose sums stay within HUGEINT
    SELECT t.asset, l.address, t.height, t.position,
           sum(if(l.side = 'payee', l.amount >> 60, -(l.amount >> 60))) AS high,
           sum(if(l.side = 'payee', 1, -1) * (l.amount & 1152921504606846975)) AS low
    FROM leg AS l
    JOIN transfer AS t ON t.transfer = l.transfer
    JOIN judged_asset AS j ON j.asset = t.asset
    WHERE j.why_not IS NULL AND t.height <= j.last_height AND NOT t.duplicate
    GROUP BY t.asset, l.address, t.height, t.position
),
held AS (
    SELECT asset, address, height, position, sum(high) OVER so_far AS high, sum(low) OVER so_far AS low
    FROM moved
    WINDOW so_far AS (
        PARTITION BY asset, address ORDER BY height, position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
short AS (
    SELECT asset, address, min(height) AS height, arg_min(position, (height, position)) AS position
    FROM held WHERE high + (low >> 60) < 0
    GROUP BY asset, address
)
SELECT c.caip2 AS chain, n.height, max(t.hash) AS hash, a.account,
       'after position ' || n.position || ' the address has less than nothing of ' || s.reference AS what
FROM short AS n
JOIN asset AS s ON s.asset = n.asset
JOIN chain AS c ON c.chain = s.chain
LEFT JOIN address AS a ON a.address = n.address
LEFT JOIN transfer AS t ON t.chain = s.chain AND t.height = n.height AND t.position = n.position
GROUP BY c.caip2, n.height, n.position, a.account, s.reference
