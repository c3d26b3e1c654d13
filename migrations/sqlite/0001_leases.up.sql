-- One row per process, and one more for each further TTL that it uses. A heartbeat updates no other
-- row. Times are microseconds since 1970.
CREATE TABLE sqllock_leases (
    id         TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    ttl        INTEGER NOT NULL CHECK (ttl > 0), -- microseconds
    created_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
