-- Puts a waiter at the end of the queue, and tells whether anybody alive is before it. An owner that is there already
-- keeps its row: the update that changes nothing makes RETURNING answer with it, also where another is just making it.
WITH mine AS (
    INSERT INTO sqllock_waiters (name, slot, owner, lease_id, note, hold, lock_delay, channel, since, holds)
    VALUES ($1::text, $2::bigint::integer, $3::text, $4::text, $5::text, $6::bigint, $7::bigint, nullif($8::text, ''),
            clock_timestamp(), $9::text)
    ON CONFLICT (owner) DO UPDATE SET owner = excluded.owner
    RETURNING ticket
)
SELECT mine.ticket,
       NOT EXISTS (SELECT FROM sqllock_waiters AS w
                   WHERE name = $1::text
                     AND slot = $2::bigint::integer
                     AND ticket < mine.ticket
                     AND EXISTS (SELECT FROM sqllock_leases
                                 WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
                   OFFSET 0)
FROM mine
