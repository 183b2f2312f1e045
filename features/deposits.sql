-- Deposit addresses on account chains: addresses that a custodial service gave to one customer, and empties into a
-- labelled wallet of its own. They are marked, not folded into the service: the customer behind one is the lead.
-- After "deposit address reuse" (Victor, "Address Clustering Heuristics for Ethereum", FC 2020), whose forward
-- follows the receipt within 3,200 blocks, about 12 hours, and is less by 0.01 ether at the most. An address is
-- marked where all of this holds:
--   every payment it ever made goes to wallets of one service, labelled custodial; nothing came from them
--   two payments or more are quick: they leave at most 12 hours after a receipt, and at most 5 % (or 0.01
--   ether) of all that was there
--   at least 5 addresses pay that service's wallets so: one that nobody else uses so is no collecting wallet
--   no label speaks of it, and it is neither paid nor paying in a payment system, where an account is an account
-- `confidence` is 1 - 1/2^n for n quick payments, at most 0.95, times their share among all payments; `seq` is the
-- first of them. `known` are the labels that count: address, service, owner and confidence.
CREATE TABLE deposit_of AS
WITH wallet AS (
    SELECT address, owner, category
    FROM known
    WHERE service = 'custodial' AND confidence >= $confidence
    QUALIFY row_number() OVER (PARTITION BY address ORDER BY confidence DESC, category, owner, source) = 1
),
-- Transfers of account chains. A fee is no payment; what came as a reward or was made is a receipt.
moved AS (
    SELECT t.seq, t.asset, epoch_us(t.time) AS time, l.side, l.address, CAST(l.amount AS HUGEINT) AS amount
    FROM seen_leg AS l
    JOIN seen_transfer AS t ON t.seq = l.seq
    JOIN ledger.chain AS c ON c.chain = t.chain AND NOT c.utxo AND NOT starts_with(c.caip2, 'payments:')
),
payment AS (
    SELECT p.seq, p.asset, p.time, p.address, p.amount, r.address AS payee, w.owner, w.category
    FROM moved AS p
    JOIN moved AS r ON r.seq = p.seq AND r.side = 'payee'
    LEFT JOIN wallet AS w ON w.address = r.address
    WHERE p.side = 'payer' AND r.address <> p.address
),
candidate AS (
    SELECT address, any_value(owner) AS owner
    FROM payment
    GROUP BY address
    HAVING count(*) >= 2 AND count(owner) = count(*) AND min(owner) = max(owner)
),
plain AS (
    SELECT c.address, c.owner
    FROM candidate AS c
    ANTI JOIN known AS k ON k.address = c.address
    -- An exchange pays withdrawals to its customers' own wallets, never to the addresses that it collects from.
    ANTI JOIN (
        SELECT r.address, w.owner
        FROM moved AS r
        JOIN moved AS p ON p.seq = r.seq AND p.side = 'payer'
        JOIN wallet AS w ON w.address = p.address
        WHERE r.side = 'payee' AND r.asset IN (SELECT asset FROM payment AS q WHERE q.address = r.address)
    ) AS paid ON paid.address = c.address AND paid.owner = c.owner
),
-- What was there before each movement, and when the last receipt came.
history AS (
    SELECT m.*, p.owner,
        sum(CASE WHEN m.side = 'payee' THEN m.amount ELSE -m.amount END) OVER before AS held,
        max(CASE WHEN m.side = 'payee' THEN m.time END) OVER before AS received
    FROM moved AS m JOIN plain AS p ON p.address = m.address
    WINDOW before AS (
        PARTITION BY m.address, m.asset ORDER BY m.seq, m.side DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
sent AS (
    SELECT h.address, h.owner, h.seq, h.time - h.received <= 43200000000
        AND (
            100 * (h.held - h.amount) <= 5 * h.held
            OR (a.reference = 'slip44:60' AND h.held - h.amount <= 10000000000000000)
        ) AS quick
    FROM history AS h JOIN ledger.asset AS a ON a.asset = h.asset
    WHERE h.side = 'payer'
),
marked AS (
    SELECT address, owner, count(*) FILTER (WHERE quick) AS quick, count(*) AS payments,
        min(seq) FILTER (WHERE quick) AS seq
    FROM sent GROUP BY address, owner
    HAVING count(*) FILTER (WHERE quick) >= 2
    QUALIFY count(*) OVER (PARTITION BY owner) >= 5
)
SELECT m.address, p.payee AS service, p.category,
    round(least(0.95, 1 - power(0.5, m.quick)) * m.quick / m.payments, 4) AS confidence, m.seq
FROM marked AS m
JOIN payment AS p ON p.seq = m.seq AND p.address = m.address
JOIN member AS n ON n.address = m.address
ORDER BY n.node;
