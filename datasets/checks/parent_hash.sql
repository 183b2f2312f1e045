-- Each block names the block before it as its parent.
SELECT c.caip2 AS chain, b.height, b.hash, NULL::VARCHAR AS account,
       if(b.parent_hash IS NULL, 'the block does not name its parent',
          'the block names the parent ' || lower(hex(b.parent_hash)) || ', and block ' || p.height || ' is '
          || lower(hex(p.hash))) AS what
FROM block AS b
JOIN block AS p ON p.chain = b.chain AND p.height = b.height - 1
LEFT JOIN synced AS s ON s.chain = b.chain AND b.height BETWEEN s.first_height AND s.last_height
LEFT JOIN chain AS c ON c.chain = b.chain
WHERE b.parent_hash <> p.hash OR (b.parent_hash IS NULL AND s.first_height < b.height)
