-- Takes a lock that has no row. Two may see none and both insert: the key lets one through, and the other gets no row and no
-- error. Where there is a row, as when the lock is held, this is a look-up and writes nothing.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT $1::text, $2::bigint::integer, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
       $4::text, $3::text, $5::text,
       clock_timestamp(), clock_timestamp() + $6::bigint * interval '1 microsecond', $7::bigint
WHERE NOT EXISTS (SELECT FROM sqllock_locks WHERE name = $1::text AND slot = $2::bigint::integer)
ON CONFLICT (name, slot) DO NOTHING
RETURNING fence
