"""What can be broken in a good ledger, and what only looks broken, as SQL that does it.

The names in braces stand for numbers that only the ledger knows.
"""

# ruff: noqa: E501, ISC004, S608  (statements are read more easily in one line; nobody's input is in them)

from tests.datasets.random_chains import EVM, UTXO

OF = {
    "{bank}": "(SELECT chain FROM chain WHERE caip2 = 'payments:bank')",
    "{utxo}": f"(SELECT chain FROM chain WHERE caip2 = '{UTXO.caip2}')",
    "{evm}": f"(SELECT chain FROM chain WHERE caip2 = '{EVM.caip2}')",
}

A_SPEND = (
    "(SELECT min(l.transfer) FROM leg AS l JOIN transfer AS t USING (transfer)"
    " WHERE t.chain = {utxo} AND l.side = 'payer' AND t.height > 20 AND l.amount > 9)"
)
A_NATIVE = (
    "(SELECT min(t.transfer) FROM transfer AS t JOIN leg USING (transfer)"
    " WHERE t.chain = {evm} AND t.kind = 'native' AND amount > 9)"
)
A_TOKEN = (
    "(SELECT min(t.transfer) FROM transfer AS t JOIN leg AS l USING (transfer) JOIN asset USING (asset)"
    " WHERE t.chain = {evm} AND t.kind = 'token' AND listed AND side = 'payer' AND amount > 0)"
)
A_MINT = (
    "(SELECT min(transfer) FROM leg JOIN transfer AS t USING (transfer) WHERE t.chain = {evm} AND kind = 'token'"
    " GROUP BY transfer HAVING count(*) FILTER (side = 'payer') = 0 ORDER BY 1 LIMIT 1)"
)
A_FEE = (
    "(SELECT min(transfer) FROM leg JOIN transfer AS t USING (transfer) WHERE t.chain = {evm} AND kind = 'fee'"
    " GROUP BY transfer HAVING count(*) FILTER (side = 'payee') = 1 ORDER BY 1 LIMIT 1)"
)
SPEND, NATIVE = f"transfer = {A_SPEND}", f"transfer = {A_NATIVE}"

BREAKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "a leg of no transfer": (
        "INSERT INTO leg SELECT 999999, 'payee', 0, min(address), 5, NULL, NULL FROM address",
        ("leg_without_transfer",),
        "payee leg of 5 belongs to no transfer",
    ),
    "a transfer without legs": (
        f"DELETE FROM leg WHERE transfer = {A_MINT}",
        ("transfer_without_legs", "batch_counts"),
        "token transfer of erc20:",
    ),
    "two transfers with one number": (
        "UPDATE transfer SET transfer = (SELECT max(transfer) FROM transfer) WHERE transfer = (SELECT max(transfer) - 1 FROM transfer)",
        ("transfer_number_twice", "leg_without_transfer", "value_created"),
        "shares its legs",
    ),
    "a leg twice": (
        "INSERT INTO leg SELECT * FROM leg WHERE transfer = (SELECT min(transfer) FROM transfer WHERE kind = 'genesis') AND side = 'payee'",
        ("leg_twice", "sides", "batch_counts"),
        "2 payee legs have index 0",
    ),
    "a negative amount": (
        "UPDATE leg SET amount = -5 WHERE transfer = (SELECT min(transfer) FROM transfer)",
        ("amount_out_of_range",),
        "payer leg has amount -5",
    ),
    "an amount of 39 digits": (
        "UPDATE leg SET amount = 100000000000000000000000000000000000000 WHERE transfer = (SELECT min(transfer) FROM transfer)",
        ("amount_out_of_range",),
        "has amount 1000000000",
    ),
    "an output grows": (
        f"UPDATE leg SET amount = amount + 1000000000 WHERE side = 'payee' AND index = 0 AND {SPEND}",
        ("value_created",),
        "native transfer of slip44:1 pays out more than it takes in",
    ),
    "the payee of an account transfer gets less": (
        f"UPDATE leg SET amount = amount - 1 WHERE side = 'payee' AND {NATIVE}",
        ("value_created",),
        "loses a part",
    ),
    "the payee of a transfer of the largest amounts gets more": (
        f"UPDATE leg SET amount = 99999999999999999999999999999999999998 WHERE side = 'payer' AND {NATIVE};"
        f"UPDATE leg SET amount = 99999999999999999999999999999999999999 WHERE side = 'payee' AND {NATIVE}",
        ("value_created", "negative_balance"),
        "pays out more",
    ),
    "a tip above the fee": (
        f"UPDATE leg SET amount = amount + 10000000000000000000 WHERE side = 'payee' AND transfer = {A_FEE}",
        ("value_created",),
        "fee transfer of slip44:60 pays out more",
    ),
    "a second payer on an account chain": (
        f"INSERT INTO leg SELECT transfer, side, 1, address, 0, NULL, NULL FROM leg WHERE side = 'payer' AND {NATIVE}",
        ("sides", "batch_counts"),
        "native transfer of slip44:60 has 2 payers",
    ),
    "a second payee on an account chain": (
        f"INSERT INTO leg SELECT transfer, side, 1, address, 0, NULL, NULL FROM leg WHERE side = 'payee' AND {NATIVE}",
        ("sides", "batch_counts"),
        "has 2 payees",
    ),
    "a native transfer from nobody": (
        f"DELETE FROM leg WHERE side = 'payer' AND {NATIVE}",
        ("sides", "batch_counts"),
        "native transfer of slip44:60 has no payer",
    ),
    "a native transfer to nobody": (
        f"DELETE FROM leg WHERE side = 'payee' AND {NATIVE}",
        ("sides", "batch_counts", "negative_balance"),
        "has no payee",
    ),
    "a coinbase with a payer": (
        "INSERT INTO leg SELECT transfer, 'payer', 0, address, 1, NULL, NULL FROM leg WHERE transfer ="
        " (SELECT min(transfer) FROM transfer WHERE kind = 'reward' AND chain = {utxo})",
        ("sides", "value_created", "spend", "batch_counts"),
        "reward transfer of slip44:1 has a payer",
    ),
    "an unknown asset": (
        f"UPDATE transfer SET asset = 9999 WHERE {NATIVE}",
        ("orphan_id", "negative_balance"),
        "the transfer's asset is not there",
    ),
    "an asset of another chain": (
        f"UPDATE transfer SET asset = (SELECT asset FROM asset WHERE reference = 'slip44:1') WHERE {NATIVE}",
        ("orphan_id", "negative_balance"),
        "the transfer's asset is of another chain",
    ),
    "an unknown batch": (
        f"UPDATE transfer SET batch = 9999 WHERE {SPEND}",
        ("orphan_id", "batch_counts"),
        "the transfer's batch is not there",
    ),
    "an unknown chain": (
        "UPDATE transfer SET chain = 99 WHERE transfer = (SELECT min(transfer) FROM transfer)",
        ("orphan_id",),
        "the transfer's chain is not there",
    ),
    "an unknown address": (
        f"UPDATE leg SET address = 999999 WHERE side = 'payee' AND {NATIVE}",
        ("orphan_id", "negative_balance"),
        "the payee's address is not there",
    ),
    "an address of another chain": (
        "UPDATE leg SET address = (SELECT min(address) FROM address WHERE chain = {bank}) WHERE side = 'payee' AND transfer = "
        + A_NATIVE,
        ("orphan_id", "negative_balance"),
        "the payee's address is of another chain",
    ),
    "an address of no chain": (
        "INSERT INTO address VALUES (999, 99, md5_number_lower('x'), 'x')",
        ("orphan_id",),
        "the address is of no chain",
    ),
    "a row set aside of no batch": (
        "INSERT INTO quarantine VALUES (99, 0, 'bad_amount', '', 7)",
        ("orphan_id",),
        "a row set aside (bad_amount) is of no batch",
    ),
    "a block of no chain": (
        "INSERT INTO block SELECT 99, 1, hash, parent_hash, time FROM block LIMIT 1",
        ("orphan_id",),
        "the block is of no chain",
    ),
    "a freeze of an unknown asset": (
        "INSERT INTO freeze_event SELECT batch, chain, 5, 0, 0, '2024-01-01', 'h'::BLOB, 99,"
        " (SELECT min(address) FROM address WHERE chain = batch.chain), TRUE FROM batch WHERE chain = {evm}",
        ("orphan_id",),
        "the freeze's asset is not there",
    ),
    "a price of no chain": (
        "INSERT INTO price BY NAME SELECT 99 AS chain, 'slip44:0' AS reference, DATE '2024-01-01' AS day, "
        "5 AS usd_micro, 'x' AS source",
        ("orphan_id",),
        "the price of slip44:0 on 2024-01-01 is of no chain",
    ),
    "an address written down twice": (
        "INSERT INTO address SELECT 999, chain, key, account FROM address WHERE account = 'a'",
        ("address_twice",),
        "the address is written down more than once",
    ),
    "two addresses with one number": (
        "INSERT INTO address SELECT address, chain, md5_number_lower('z'), 'z' FROM address WHERE account = 'a'",
        ("address_twice",),
        "shares its transfers with another address",
    ),
    "a wrong key": (
        "UPDATE address SET key = key + 1 WHERE account = 'a'",
        ("address_key",),
        "the key of the address is not that of its text",
    ),
    "two transfers under one key": (
        f"UPDATE transfer SET (position, hash) = (SELECT (position, hash) FROM transfer WHERE {NATIVE}) WHERE FALSE;"
        "INSERT INTO transfer SELECT 999999, chain, batch, row, height, position, kind, part, time, hash, asset, lossy,"
        f" repeated, duplicate, provisional FROM transfer WHERE {NATIVE};"
        f"INSERT INTO leg SELECT 999999, side, index, address, amount, NULL, NULL FROM leg WHERE {NATIVE}",
        ("key_twice", "batch_counts", "negative_balance"),
        "2 native transfers have position",
    ),
    "a transaction that counts in two blocks": (
        f"UPDATE transfer SET hash = (SELECT hash FROM transfer WHERE {SPEND}) WHERE chain = {{utxo}} AND height = 39 AND position = 0",
        ("hash_place",),
        "the transaction counts",
    ),
    "two hashes at one position": (
        f"UPDATE transfer SET hash = 'other'::BLOB WHERE {NATIVE}",
        ("hash_place",),
        "has 2 hashes",
    ),
    "a block written down twice": (
        "INSERT INTO block SELECT * FROM block WHERE chain = {utxo} AND height = 9",
        ("key_twice",),
        "the block is written down 2 times",
    ),
    "a duplicate that counts": (
        "UPDATE transfer SET duplicate = FALSE WHERE duplicate",
        ("marks",),
        "native transfer of row 0 of two.csv is counted, and must be not counted",
    ),
    "a payment that does not count": (
        "UPDATE transfer SET duplicate = TRUE WHERE chain = {bank} AND hash = 'q'::BLOB",
        ("marks",),
        "row 3 of two.csv is not counted, and must be counted",
    ),
    "a repeat that is not marked": (
        "UPDATE transfer SET repeated = FALSE WHERE chain = {bank}",
        ("marks", "batch_counts"),
        "must be counted as a repeat",
    ),
    "a transfer of a block that does not count": (
        f"UPDATE transfer SET duplicate = TRUE WHERE {NATIVE}",
        ("marks", "negative_balance"),
        "is not counted, and must be counted",
    ),
    "a row set aside that made a transfer": (
        "UPDATE quarantine SET row = 0",
        ("set_aside_too",),
        "row 0 of one.csv was set aside (bad_amount) and made a transfer too",
    ),
    "a batch that counts more transfers": (
        "UPDATE batch SET transfers = transfers + 1 WHERE source = 'one.csv'",
        ("batch_counts",),
        "the batch one.csv counts 5 transfers, has 4",
    ),
    "a batch that counts fewer legs": (
        "UPDATE batch SET legs = 1 WHERE source = 'one.csv'",
        ("batch_counts",),
        "counts 1 legs, has 8",
    ),
    "a batch that counts more rows set aside": (
        "UPDATE batch SET quarantined = 2 WHERE source = 'one.csv'",
        ("batch_counts",),
        "counts 2 rows set aside, has 1",
    ),
    "a batch that counts more rounded rows": (
        "UPDATE batch SET lossy = 0 WHERE source = 'one.csv'",
        ("batch_counts",),
        "counts 0 rounded transfers, has 1",
    ),
    "a batch of other times": (
        "UPDATE batch SET last_time = '2023-05-05' WHERE source = 'one.csv'",
        ("batch_counts",),
        "is said to reach from 2023-01-01 00:00:00 to 2023-05-05 00:00:00",
    ),
    "a node's batch of fewer heights": (
        "UPDATE batch SET last_height = 9 WHERE chain = {utxo}",
        ("batch_counts",),
        "is said to reach from block 0 to 9, reaches from 0 to 39",
    ),
    "a batch that is said to be loose": (
        "UPDATE batch SET loose = TRUE WHERE chain = {utxo}",
        ("batch_counts",),
        "without heights or not",
    ),
    "stretches that touch": (
        "UPDATE synced SET last_height = 19 WHERE chain = {utxo}; INSERT INTO synced VALUES ({utxo}, 20, 39)",
        ("stretch",),
        "the stretch 20 to 39 touches the one before it",
    ),
    "stretches that overlap": (
        "INSERT INTO synced VALUES ({utxo}, 20, 22)",
        ("stretch",),
        "the stretch 20 to 22 overlaps the one before it",
    ),
    "a stretch that ends before it begins": (
        "INSERT INTO synced VALUES ({bank}, 20, 9)",
        ("stretch",),
        "ends before it begins",
    ),
    "a block that is missing": (
        "DELETE FROM block WHERE chain = {utxo} AND height = 17",
        ("block_gap",),
        "the block is not there",
    ),
    "blocks that are missing at an end": (
        "DELETE FROM block WHERE chain = {evm} AND height > 35",
        ("block_gap",),
        "the blocks 36 to 39 are not there",
    ),
    "a stretch without a block": (
        "DELETE FROM block WHERE chain = {evm}",
        ("block_gap",),
        "the blocks 0 to 39 are not there",
    ),
    "a parent of another branch": (
        "UPDATE block SET parent_hash = 'xx'::BLOB WHERE chain = {evm} AND height = 17",
        ("parent_hash",),
        "the block names the parent 7878, and block 16 is ",
    ),
    "a block that names no parent": (
        "UPDATE block SET parent_hash = NULL WHERE chain = {evm} AND height = 17",
        ("parent_hash",),
        "the block does not name its parent",
    ),
    "a block before its parent": (
        "UPDATE block SET time = '2023-12-31' WHERE chain = {evm} AND height = 17",
        ("block_time", "transfer_time"),
        "is before its parent's",
    ),
    "a block before the middle of eleven": (
        "UPDATE block SET time = (SELECT time FROM block WHERE chain = {utxo} AND height = 8) WHERE chain = {utxo} AND height = 17",
        ("block_time", "transfer_time"),
        "the middle of the eleven before",
    ),
    "a transfer at another time than its block": (
        "UPDATE transfer SET time = '2023-12-31' WHERE chain = {utxo} AND height = 17",
        ("transfer_time",),
        "transfer has the time 2023-12-31 00:00:00, its block 2024-01-01",
    ),
    "a node's transfer in no stretch": (
        "UPDATE synced SET last_height = 38 WHERE chain = {utxo}",
        ("outside_stretch",),
        "was read from a node (http://127.0.0.1:1), and its block is in no stretch",
    ),
    "a provisional transfer below finality": (
        f"UPDATE transfer SET provisional = TRUE WHERE {NATIVE}",
        ("provisional",),
        "native transfer is provisional, and block 33 is final",
    ),
    "a transfer above finality that is not provisional": (
        "UPDATE transfer SET provisional = FALSE WHERE chain = {utxo} AND height = 39",
        ("provisional",),
        "reward transfer is not provisional, and final is only block 33",
    ),
    "a provisional payment": (
        "UPDATE transfer SET provisional = TRUE WHERE chain = {bank} AND hash = 'q'::BLOB",
        ("provisional",),
        "is provisional and has no height",
    ),
    "a provisional chain without a node": (
        "DELETE FROM node_head WHERE chain = {utxo}",
        ("provisional",),
        "is provisional, and no node says what is final",
    ),
    "a spend of an output that its transaction does not have": (
        f"UPDATE leg SET spent_index = 99 WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spend",),
        ":99, but the transaction has no such output",
    ),
    "a spend of a transaction that is not there": (
        f"UPDATE leg SET spent_hash = 'nowhere'::BLOB WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spend",),
        "but the ledger has no such transaction",
    ),
    "a spend of an output that is made later": (
        "UPDATE transfer SET height = 39, position = 77, time = (SELECT max(time) FROM transfer WHERE chain = {utxo} AND height = 39),"
        " provisional = TRUE WHERE chain = {utxo} AND hash = (SELECT min(spent_hash) FROM leg WHERE side = 'payer' AND transfer = "
        + A_SPEND
        + ")",
        ("spend",),
        "but it was made only later, in block 39",
    ),
    "a spend of nothing": (
        f"UPDATE leg SET spent_hash = NULL WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spend",),
        "spends output ?, but no output is named",
    ),
    "a spend of another amount": (
        f"UPDATE leg SET amount = amount + 7 WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spend",),
        "but it has the amount",
    ),
    "a spend by another account": (
        f"UPDATE leg SET address = (SELECT address FROM address WHERE account = '{'0x' + 'f' * 40}' LIMIT 0) WHERE FALSE;"
        "INSERT INTO address VALUES (999, {utxo}, md5_number_lower('thief'), 'thief');"
        f"UPDATE leg SET address = 999 WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spend",),
        "but it is of 0x",
    ),
    "an output spent twice": (
        "INSERT INTO leg SELECT (SELECT transfer FROM transfer WHERE chain = {utxo} AND height = 39 AND position = 1), 'payer', 99,"
        f" address, amount, spent_hash, spent_index FROM leg WHERE side = 'payer' AND index = 0 AND {SPEND}",
        ("spent_twice", "batch_counts"),
        "is spent 2 times, by ",
    ),
    "a token paid that nobody had": (
        f"UPDATE leg SET amount = amount + 10000000000000000000000000000 WHERE transfer = {A_TOKEN}",
        ("negative_balance",),
        "the address has less than nothing of erc20:0x00000000000000000000000000000000000000aa",
    ),
    "coins paid that nobody had": (
        f"UPDATE leg SET amount = amount + 10000000000000000000000000000000 WHERE {NATIVE}",
        ("negative_balance",),
        "the address has less than nothing of slip44:60",
    ),
}
"""What is done to the ledger; the checks that name it, the first of them in these words."""

NEAR_MISSES: dict[str, str] = {
    "a mint": f"SELECT {A_MINT}",
    "a fee that two share": "INSERT INTO leg SELECT transfer, side, 1, address, 0, NULL, NULL FROM leg WHERE side = 'payee'"
    f" AND transfer = {A_FEE}; UPDATE batch SET legs = legs + 1 WHERE chain = {{evm}}",
    "a fee that is burned whole": f"DELETE FROM leg WHERE side = 'payee' AND transfer = {A_FEE};"
    "UPDATE batch SET legs = legs - 1 WHERE chain = {evm}",
    "a self-destruct to nobody": "DELETE FROM leg WHERE side = 'payee' AND transfer = (SELECT max(transfer) FROM transfer WHERE kind = 'internal');"
    "UPDATE batch SET legs = legs - 1 WHERE chain = {evm}",
    "two stretches with a block between them": "DELETE FROM synced WHERE chain = {bank};"
    "INSERT INTO synced VALUES ({bank}, 1, 1), ({bank}, 3, 3);"
    "INSERT INTO block SELECT {bank}, h, 'h'::BLOB, 'p'::BLOB, '2024-01-01' FROM (VALUES (1), (3)) AS t(h)",
    "a block of a file, whose parent is not known": "INSERT INTO block VALUES ({utxo}, 41, 'h'::BLOB, NULL, '2020-01-01'), ({utxo}, 42, 'i'::BLOB, NULL, '2019-01-01')",
    "the first block of a stretch, without a parent": "UPDATE block SET parent_hash = NULL WHERE height = 0",
    "equal block times on an account chain": "UPDATE block SET time = (SELECT time FROM block WHERE chain = {evm} AND height = 16)"
    " WHERE chain = {evm} AND height = 17;"
    "UPDATE transfer SET time = (SELECT time FROM block WHERE chain = {evm} AND height = 16) WHERE chain = {evm} AND height = 17",
    "an unlisted token paid that nobody had": "UPDATE leg SET amount = 90000000000000000000000000000000000000 WHERE transfer IN"
    " (SELECT transfer FROM transfer JOIN asset USING (asset) WHERE NOT listed AND transfer.chain = {evm})",
    "a rounded amount of a spent output": f"UPDATE leg SET amount = amount - 1 WHERE side = 'payer' AND index = 0 AND {SPEND};"
    f"UPDATE leg SET amount = amount - least(amount, 1) WHERE side = 'payee' AND {SPEND};"
    f"UPDATE transfer SET lossy = TRUE WHERE {SPEND}; UPDATE batch SET lossy = 1 WHERE chain = {{utxo}}",
    "an address that only a label names": "INSERT INTO address SELECT 999, {bank}, md5_number_lower('x'), 'x'",
    "Bitcoin's coinbases that repeat": "UPDATE synced SET last_height = 39 WHERE FALSE;"
    "INSERT INTO batch SELECT 900 + n, {utxo}, 'bitcoin-etl', 'f', n::VARCHAR, '{}', FALSE, h, h, '2010-11-14', '2010-11-14', 1, 1, 1,"
    " 0, 0, 0, 0, 0, now(), '1', 0 FROM (VALUES (1, 91722), (2, 91880)) AS t(n, h);"
    "INSERT INTO transfer SELECT 900000 + n, {utxo}, 900 + n, 0, h, 0, 'reward', 0, '2010-11-14', 'twice'::BLOB,"
    " (SELECT asset FROM asset WHERE chain = {utxo}), FALSE, FALSE, FALSE, FALSE FROM (VALUES (1, 91722), (2, 91880)) AS t(n, h);"
    "INSERT INTO leg SELECT 900000 + n, 'payee', 0, (SELECT min(address) FROM address WHERE chain = {utxo}), 5, NULL, NULL"
    " FROM (VALUES (1), (2)) AS t(n)",
}
"""What is done to the ledger and breaks nothing."""
