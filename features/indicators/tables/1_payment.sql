-- Every payment from one entity to another (`edge`), with the moment in whole seconds since 1970 and who both are.
CREATE VIEW payment AS
SELECT
    edge.payer,
    edge.payee,
    edge.seq,
    date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', edge.time)) AS moment,
    edge.asset,
    edge.amount,
    edge.usd,
    payer_party.private AS payer_private,
    payer_party.kind AS payer_kind,
    payer_party.service AS payer_service,
    payer_party.market AS payer_market,
    payee_party.private AS payee_private,
    payee_party.kind AS payee_kind,
    payee_party.service AS payee_service,
    payee_party.market AS payee_market
FROM edge
JOIN party AS payer_party ON payer_party.entity = edge.payer
JOIN party AS payee_party ON payee_party.entity = edge.payee;

-- What private wallets received and paid, with the moment.
CREATE VIEW movement AS
SELECT
    flow.entity,
    flow.seq,
    date_diff('second', TIMESTAMP '1970-01-01 00:00:00', date_trunc('second', flow.time)) AS moment,
    flow.asset,
    flow.direction,
    flow.amount,
    flow.usd,
    flow.coinjoin
FROM flow
JOIN party ON party.entity = flow.entity AND party.private;
