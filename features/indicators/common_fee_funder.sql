-- One private wallet pays the first fees of several new wallets that then move tokens, and pays hardly anyone else.
-- A renter of energy or seller of gas serves many unrelated customers, most of whom were there before.
WITH funded AS (
    SELECT payment.payer AS funder, payment.payee AS wallet, payment.asset, min(payment.seq) AS seq,
        min(payment.moment) AS moment, max(payment.usd) AS largest
    FROM payment
    JOIN ledger.asset AS a ON a.asset = payment.asset AND starts_with(a.reference, 'slip44:')
    WHERE payment.payer_private
    GROUP BY payment.payer, payment.payee, payment.asset
),
-- The first transfer of another asset that each of these wallets paid.
used AS (
    SELECT funded.funder, funded.wallet, min(payment.seq) AS seq
    FROM funded
    JOIN party ON party.entity = funded.wallet AND party.first_seq = funded.seq AND party.private
    JOIN payment ON payment.payer = funded.wallet AND payment.asset <> funded.asset
    WHERE funded.largest <= 1000000 * $fee_usd
    GROUP BY funded.funder, funded.wallet
),
funders AS (
    SELECT
        funded.funder,
        count(DISTINCT funded.wallet) AS paid,
        count(DISTINCT used.wallet) AS wallets
    FROM funded
    LEFT JOIN used ON used.funder = funded.funder AND used.wallet = funded.wallet
    GROUP BY funded.funder
    HAVING count(DISTINCT used.wallet) >= $wallets
        AND count(DISTINCT funded.wallet) <= $most_wallets
        AND CAST(count(DISTINCT used.wallet) AS DOUBLE) >= $new_share * count(DISTINCT funded.wallet)
),
placed AS (
    SELECT
        used.funder,
        used.wallet,
        funded.seq AS funded_seq,
        used.seq AS used_seq,
        row_number() OVER (PARTITION BY used.funder ORDER BY funded.seq, used.wallet) AS place
    FROM used
    JOIN funders ON funders.funder = used.funder
    JOIN funded ON funded.funder = used.funder AND funded.wallet = used.wallet
),
fleets AS (
    SELECT
        placed.funder,
        max(funders.wallets) AS wallets,
        max(funders.paid) AS paid,
        list_sort(list_distinct(list_concat(
            list(funded_seq) FILTER (WHERE place <= 10), list(used_seq) FILTER (WHERE place <= 10)
        ))) AS evidence,
        count(DISTINCT funded_seq) + count(DISTINCT used_seq) AS transfers
    FROM placed
    JOIN funders ON funders.funder = placed.funder
    GROUP BY placed.funder
),
roles AS (
    SELECT funder AS entity, 'funder' AS role, fleets.* FROM fleets
    UNION ALL
    SELECT placed.wallet AS entity, 'member' AS role, fleets.*
    FROM placed
    JOIN fleets ON fleets.funder = placed.funder
)
SELECT
    entity,
    CAST(wallets AS DOUBLE) / (wallets + $wallets) AS strength,
    evidence,
    transfers AS evidence_count,
    wallets,
    paid,
    role
FROM roles
QUALIFY row_number() OVER (PARTITION BY entity ORDER BY wallets DESC, role, funder) = 1
