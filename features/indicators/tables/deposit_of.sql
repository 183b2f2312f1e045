-- Which account a custodial service gave to a customer: an account that paid nobody but one labelled service,
-- which many pay. A person's account may look so too, so that little is claimed of it.
CREATE TABLE deposit_of AS
WITH pairs AS (
    SELECT payer, payee, count(*) AS payments FROM edge GROUP BY payer, payee
),
custodial AS (
    SELECT member.entity
    FROM seed
    JOIN category ON category.number = seed.category AND category.service = 'custodial'
    JOIN member ON member.address = seed.address
    GROUP BY member.entity
),
paid AS (
    SELECT pairs.payee AS entity, count(*) AS payers
    FROM pairs JOIN custodial ON custodial.entity = pairs.payee
    GROUP BY pairs.payee
),
loyal AS (
    SELECT payer AS entity, min(payee) AS service
    FROM pairs
    GROUP BY payer
    HAVING min(payee) = max(payee)
)
SELECT member.address, loyal.service, 0.5 AS confidence
FROM loyal
JOIN paid ON paid.entity = loyal.service AND paid.payers >= 5
JOIN member ON member.entity = loyal.entity
JOIN ledger.address AS a ON a.address = member.address
JOIN ledger.chain AS c ON c.chain = a.chain AND NOT c.utxo
ANTI JOIN custodial ON custodial.entity = loyal.entity;
