-- Puts a waiter at the end of the queue, and returns whether no live waiter is before it. Tickets
-- come from the clock, so that none is used again after the queue was empty, but exceed the last
-- one. A waiter that is already in the queue keeps its ticket.
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
