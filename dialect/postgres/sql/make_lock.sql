-- Takes a lock that has no row. Two requests may both see no row and insert one: the key lets one
-- of them through, and the other gets no row and no error. If there is a row, as when the lock is
-- held, this is a look-up and writes nothing.
INSERT INTO sqllock_locks (name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
SELECT $1::text, $2::bigint::integer, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
       $4::text, $3::text, $5::text,
       clock_timestamp(),
       CASE WHEN $6::bigint > 0 THEN clock_timestamp() + $6::bigint * interval '1 microsecond' ELSE 'epoch' END,
       $7::bigint
WHERE NOT EXISTS (SELECT 1 FROM sqllock_locks WHERE name = $1::text AND slot = $2::bigint::integer)
ON CONFLICT (name, slot) DO NOTHING
RETURNING fence
