-- Puts a waiter at the end of the queue, and tells whether anybody alive is before it. Tickets are the clock's, so that one
-- isn't given again when the queue has been empty in between, but never less than the last. Who is in it keeps his.
INSERT INTO sqllock_waiters (ticket, name, slot, lease_id, owner, note, since, holds)
VALUES (max(clock(), (SELECT coalesce(max(ticket), 0) + 1 FROM sqllock_waiters)), ?1, ?2, ?3, ?4, ?5, clock(), ?6)
ON CONFLICT (owner) DO UPDATE
SET owner = excluded.owner
RETURNING ticket, NOT EXISTS (
    SELECT 1
    FROM sqllock_waiters AS before
    JOIN sqllock_leases AS e ON e.id = before.lease_id
    WHERE before.name = ?1
      AND before.slot = ?2
      AND before.ticket < sqllock_waiters.ticket
      AND e.expires_at > clock()
)
