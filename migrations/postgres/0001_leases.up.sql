-- One row a process (one more for each further TTL it uses). The only row a heartbeat touches: room is left so that
-- its updates stay on their page.
CREATE TABLE sqllock_leases (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    holder     text             NOT NULL,
    ttl        bigint           NOT NULL CHECK (ttl > 0), -- microseconds
    created_at timestamptz      NOT NULL,
    renewed_at timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL
) WITH (fillfactor = 50);
