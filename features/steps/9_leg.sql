-- The legs of one side ($side) of those events. `amount` as a double carries 15 digits and more.
SELECT e.number, l.index, CAST(m.node AS INTEGER) AS node, CAST(m.entity AS INTEGER) AS entity,
    CAST(l.asset AS INTEGER) AS asset, s.category AS seed, CAST(l.amount AS DOUBLE) AS amount,
    CAST(l.usd AS DOUBLE) AS usd
FROM (
    SELECT l.seq, 0 AS turn, l.index, l.address, t.asset, l.amount, l.usd
    FROM seen_leg AS l
    JOIN seen_transfer AS t ON t.seq = l.seq AND t.chain = $chain
    ANTI JOIN swap AS w ON w.seq = l.seq
    WHERE l.side = $side
    UNION ALL
    SELECT w.anchor AS seq, 0 AS turn,
        row_number() OVER (PARTITION BY w.anchor ORDER BY l.seq, l.index) - 1 AS index,
        l.address, t.asset, l.amount, l.usd
    FROM swap AS w
    JOIN seen_leg AS l ON l.seq = w.seq AND l.side = $side
    JOIN seen_transfer AS t ON t.seq = w.seq
    WHERE w.way = CASE WHEN $side = 'payer' THEN 'in' ELSE 'out' END
    UNION ALL
    SELECT f.seq, f.turn, f.index, f.address, f.asset, f.amount, NULL
    FROM fee_leg AS f
    JOIN ledger.asset AS a ON a.asset = f.asset AND a.chain = $chain
    WHERE f.side = $side
) AS l
JOIN event AS e ON e.seq = l.seq AND e.turn = l.turn
JOIN member AS m ON m.address = l.address
JOIN seed AS s ON s.address = l.address
ORDER BY e.number, l.index;
