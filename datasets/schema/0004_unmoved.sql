-- Source rows that made no transfer and are no fault: each batch's rows are in transfers, here, or in quarantine.

CREATE TABLE unmoved (
    batch INTEGER NOT NULL,
    reason VARCHAR NOT NULL,          -- zero_value, failed, root_call, zero_address, receipt…
    source_rows BIGINT NOT NULL
);

-- Rows taken as successful transactions because no receipt says how they ended.
CREATE TABLE assumed (
    batch INTEGER NOT NULL,
    source_rows BIGINT NOT NULL
);
