-- One row per process, and one more for each further TTL that it uses. A heartbeat updates no other
-- row. Times are UTC.
CREATE TABLE sqllock_leases (
    id         nvarchar(64)  COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    holder     nvarchar(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    ttl        bigint        NOT NULL CHECK (ttl > 0), -- microseconds
    created_at datetime2(7)  NOT NULL,
    renewed_at datetime2(7)  NOT NULL,
    expires_at datetime2(7)  NOT NULL
);
