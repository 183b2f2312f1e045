-- What tracing walks through, of one chain, in causal order: payments, exchanges of assets, fees.
CREATE OR REPLACE TEMP TABLE event AS
SELECT seq, turn, role, CAST(row_number() OVER (ORDER BY seq, turn) - 1 AS INTEGER) AS number
FROM (
    SELECT t.seq, 0 AS turn,
        CASE WHEN s.seq IS NOT NULL THEN $swap WHEN t.kind = 'withdrawal' THEN $return ELSE $payment END AS role
    FROM seen_transfer AS t
    LEFT JOIN swap AS s ON s.seq = t.seq
    WHERE t.chain = $chain AND (s.seq IS NULL OR s.seq = s.anchor)
    UNION ALL
    SELECT DISTINCT f.seq, f.turn, $fee
    FROM fee_leg AS f JOIN ledger.asset AS a ON a.asset = f.asset AND a.chain = $chain
);
