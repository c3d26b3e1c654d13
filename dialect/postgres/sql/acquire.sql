-- Takes the lock if its row is free, missing, or already names our owner (a request sent again). One statement, so
-- one round trip and one commit.
--
-- UPDATE before INSERT, and no upsert: ON CONFLICT DO UPDATE locks the row before it looks at it, and so would wait
-- behind a guard. The UPDATE locks a row only after its WHERE has matched the row as seen, and matches again after
-- a wait.
--
-- clock_timestamp() and never now(): now() is the transaction's start, stale after a wait for the row. The fence
-- outlives a counter that a failover set back, or that went with a purged row, because it is at least the clock.
WITH taken AS (
    UPDATE sqllock_locks
    SET fence       = greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
        lease_id    = $4::text,
        owner       = $3::text,
        note        = $5::text,
        acquired_at = clock_timestamp(),
        free_at     = clock_timestamp() + $6::bigint * interval '1 microsecond',
        lock_delay  = $7::bigint
    WHERE name = $1::text
      AND slot = $2::bigint::integer
      AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = $3::text)
    RETURNING fence
), made AS (
    -- Two may see no row and both insert: the key lets one through, and the other gets no row and no error.
    INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
    SELECT $1::text, $2::bigint::integer, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
           $4::text, $3::text, $5::text,
           clock_timestamp(), clock_timestamp() + $6::bigint * interval '1 microsecond', $7::bigint
    WHERE NOT EXISTS (SELECT FROM sqllock_locks WHERE name = $1::text AND slot = $2::bigint::integer)
    ON CONFLICT (name, slot) DO NOTHING
    RETURNING fence
)
SELECT fence FROM taken
UNION ALL
SELECT fence FROM made
