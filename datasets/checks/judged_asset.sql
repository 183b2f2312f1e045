-- Of which assets balances can be judged, up to which height; why_not is NULL for those.
WITH whole AS (SELECT chain, last_height FROM synced WHERE first_height = 0),
read_from_nodes AS (
    SELECT b.chain, string_agg(DISTINCT u.said, '; ' ORDER BY u.said) AS unread
    FROM batch AS b
    LEFT JOIN LATERAL (SELECT unnest(json_extract_string(b.mapping, '$.unread[*]')) AS said) AS u ON TRUE
    WHERE b.layout = 'node'
    GROUP BY b.chain
),
without_calls AS (
    SELECT DISTINCT chain FROM synced AS s
    WHERE NOT EXISTS (
        FROM told AS t
        WHERE t.chain = s.chain AND t.kind = 'internal'
          AND t.first_height <= s.first_height AND t.last_height >= s.last_height
    )
),
begun AS (SELECT DISTINCT chain FROM transfer WHERE kind = 'genesis' AND height = 0)
SELECT s.asset, s.chain, s.reference, w.last_height, CASE
    WHEN w.last_height IS NULL AND s.chain IN (SELECT chain FROM synced)
        THEN 'what accounts held before is not known: blocks from 0 on were not read'
    WHEN w.last_height IS NULL THEN 'what accounts held before is not known'
    WHEN c.utxo THEN 'the checks of spends say it'
    WHEN s.reference LIKE 'slip44:%' AND u.chain IS NOT NULL THEN 'internal calls were not read'
    WHEN s.reference LIKE 'slip44:%' AND r.unread IS NOT NULL THEN 'the node did not tell ' || r.unread
    WHEN s.reference LIKE 'slip44:%' AND b.chain IS NULL
        THEN 'what accounts began with is not known: no genesis was imported'
    WHEN NOT s.listed AND s.reference NOT LIKE 'slip44:%' THEN 'the token is not listed: its events may say anything'
END AS why_not
FROM asset AS s
JOIN chain AS c ON c.chain = s.chain
LEFT JOIN whole AS w ON w.chain = s.chain
LEFT JOIN read_from_nodes AS r ON r.chain = s.chain
LEFT JOIN without_calls AS u ON u.chain = s.chain
LEFT JOIN begun AS b ON b.chain = s.chain
