-- An address is found by its key, the lower half of md5 of its text.
SELECT c.caip2 AS chain, NULL::BIGINT AS height, NULL::BLOB AS hash, a.account,
       'the key of the address is not that of its text: it would not be found again' AS what
FROM address AS a
LEFT JOIN chain AS c ON c.chain = a.chain
WHERE a.key <> md5_number_lower(a.account)
