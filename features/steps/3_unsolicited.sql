CREATE TABLE dust_output (transfer BIGINT, index INTEGER);
CREATE TABLE dust_transfer (transfer BIGINT);
