-- Puts a waiter at the end of the queue. The ticket comes back in the reply, as the "insert id":
-- the new one, or that of a waiter that is already in the queue.
INSERT INTO sqllock_waiters (name, slot, lease_id, owner, note, since, holds)
VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6), ?)
ON DUPLICATE KEY UPDATE ticket = LAST_INSERT_ID(ticket)
