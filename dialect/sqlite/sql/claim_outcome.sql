-- Claims the name for the transaction. If there is no row, it inserts one that is kept until 0: it
-- means nothing unless the transaction writes an outcome before the commit, not even if the clock
-- is set back. If there is a row, it updates it without a change.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES (?1, 0, 0, x'', clock(), 0)
ON CONFLICT (name) DO UPDATE
SET fence = o.fence
RETURNING fence, failed, result, done_at, keep_until > clock()
