-- Makes the name the transaction's: by a row that was never kept, so that it means nothing if nothing else is written there
-- before the commit, not even if the clock is set back; or by an update of the row that is there, which changes nothing.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES (?1, 0, 0, x'', clock(), 0)
ON CONFLICT (name) DO UPDATE
SET fence = o.fence
RETURNING fence, failed, result, done_at, keep_until > clock()
