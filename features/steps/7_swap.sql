-- Where one asset is given for another inside one transaction: through a converting service (a decentralised
-- exchange, wrapping), or for a token that its contract makes or takes back. What enters from outside and what
-- leaves to outside become one exchange at the last payment in; what such contracts pass among themselves is
-- theirs. Where nothing leaves (or nothing enters), nothing is exchanged, and the transfers stay what they are.
CREATE OR REPLACE TEMP TABLE swap AS
WITH contract AS (
    SELECT a.asset, d.address
    FROM ledger.asset AS a
    JOIN ledger.address AS d ON d.chain = a.chain AND d.account = split_part(a.reference, ':', 2)
    WHERE a.chain = $chain AND a.listed AND contains(a.reference, ':')
),
gate AS (
    SELECT address FROM seed WHERE list_contains($converting, category)
    UNION SELECT address FROM contract
),
touching AS (
    SELECT DISTINCT h.height, h.position
    FROM seen_leg AS l
    JOIN gate USING (address)
    JOIN seen_transfer AS t ON t.seq = l.seq AND t.chain = $chain AND t.kind IN ('native', 'internal', 'token')
    JOIN ledger.transfer AS h ON h.transfer = t.transfer
    WHERE h.height IS NOT NULL
),
moved AS (
    SELECT t.seq, any_value(h.height) AS height, any_value(h.position) AS position, any_value(t.asset) AS asset,
        any_value(l.address) FILTER (l.side = 'payer') AS payer,
        any_value(l.address) FILTER (l.side = 'payee') AS payee
    FROM touching AS x
    JOIN ledger.transfer AS h ON h.height = x.height AND h.position = x.position AND h.chain = $chain
    JOIN seen_transfer AS t ON t.transfer = h.transfer AND t.kind IN ('native', 'internal', 'token')
    JOIN seen_leg AS l ON l.seq = t.seq
    GROUP BY t.seq
),
passed AS (
    SELECT m.seq, m.height, m.position,
        coalesce(m.payer, c.address) IN (FROM gate) AS leaves,
        coalesce(m.payee, c.address) IN (FROM gate) AS enters
    FROM moved AS m LEFT JOIN contract AS c ON c.asset = m.asset
)
SELECT seq, CASE WHEN NOT leaves THEN 'in' WHEN NOT enters THEN 'out' ELSE 'inside' END AS way,
    max(seq) FILTER (enters AND NOT leaves) OVER (PARTITION BY height, position) AS anchor
FROM passed
WHERE leaves OR enters
QUALIFY bool_or(enters AND NOT leaves) OVER (PARTITION BY height, position)
    AND bool_or(leaves AND NOT enters) OVER (PARTITION BY height, position);
