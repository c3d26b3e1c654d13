-- Claims the name for the transaction. If there is no row, it inserts one that is kept until 1970:
-- it means nothing unless the transaction writes an outcome before the commit, not even to a server
-- whose clock is behind. If there is a row, it updates it without a change. Neither fixes the
-- snapshot of the transaction.
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
VALUES (?, 0, FALSE, '', UTC_TIMESTAMP(6), TIMESTAMP'1970-01-01 00:00:00')
ON DUPLICATE KEY UPDATE fence = fence
