-- One row per process, and one more for each further TTL that it uses. A heartbeat updates no other
-- row. The fillfactor leaves room so that its updates stay on their page.
CREATE TABLE sqllock_leases (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    holder     text             NOT NULL,
    ttl        bigint           NOT NULL CHECK (ttl > 0), -- microseconds
    created_at timestamptz      NOT NULL,
    renewed_at timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL
) WITH (fillfactor = 50);
