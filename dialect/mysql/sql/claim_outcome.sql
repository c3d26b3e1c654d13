-- Makes the name the transaction's: by a row that was never kept, so that it means nothing if nothing else is written there
-- before the commit, not even to a server whose clock is behind; or by an update of the row that is there, which changes
-- nothing. Neither fixes the snapshot of the transaction.
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
VALUES (?, 0, FALSE, '', UTC_TIMESTAMP(6), TIMESTAMP'1970-01-01 00:00:00')
ON DUPLICATE KEY UPDATE fence = fence
