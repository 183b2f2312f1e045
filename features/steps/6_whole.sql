-- Whose whole history is there, as far as the ledger goes: everybody on a chain that a node or files told, and on
-- one of which only histories of single addresses were read, those addresses (`read_whole`).
CREATE TABLE whole_history AS
SELECT m.entity
FROM member AS m
JOIN ledger.address AS a ON a.address = m.address
LEFT JOIN partly_read AS p ON p.chain = a.chain
LEFT JOIN read_whole AS r ON r.address = m.address
GROUP BY m.entity
HAVING bool_and(p.chain IS NULL OR r.address IS NOT NULL);
