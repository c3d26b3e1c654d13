-- Puts a waiter at the end of the queue, and reads whether any waiter with a live lease is before
-- it. An owner that is in the queue already keeps its row: the update changes nothing, but makes
-- RETURNING return the row, even if another statement is just inserting it.
WITH mine AS (
    INSERT INTO sqllock_waiters (name, slot, owner, lease_id, note, hold, lock_delay, channel, since, holds)
    VALUES ($1::text, $2::bigint::integer, $3::text, $4::text, $5::text, $6::bigint, $7::bigint, nullif($8::text, ''),
            clock_timestamp(), $9::text)
    ON CONFLICT (owner) DO UPDATE SET owner = excluded.owner
    RETURNING ticket
)
SELECT mine.ticket,
       NOT EXISTS (SELECT 1 FROM sqllock_waiters AS w
                   WHERE name = $1::text
                     AND slot = $2::bigint::integer
                     AND ticket < mine.ticket
                     AND EXISTS (SELECT 1 FROM sqllock_leases
                                 WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
                   OFFSET 0)
FROM mine
