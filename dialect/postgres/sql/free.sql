-- Takes a dead holder's lock away, if the row is still as it was seen. SKIP LOCKED: a guard on the row means that
-- its transaction may yet commit, and a taker must not hang behind it. A lock delay that is over already must not
-- put free_at into the past, or the row would count as long idle and be purged.
UPDATE sqllock_locks
SET lease_id = NULL,
    owner    = NULL,
    free_at  = greatest(free_at, clock_timestamp(),
                        clock_timestamp() + (lock_delay - $5::bigint) * interval '1 microsecond')
WHERE (name, slot) = (SELECT name, slot
                      FROM sqllock_locks
                      WHERE name = $1::text
                        AND slot = $2::bigint::integer
                        AND fence = $3::bigint
                        AND lease_id = $4::text
                      FOR NO KEY UPDATE SKIP LOCKED)
  AND fence = $3::bigint
  AND lease_id = $4::text
