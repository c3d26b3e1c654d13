-- Makes the name the transaction's: by a row that was never kept, so that it means nothing if nothing else is written there
-- before the commit, not even to a server whose clock is behind; or by an update of the row that is there, which changes
-- nothing. Under REPEATABLE READ and SERIALIZABLE a row that is newer than the snapshot is a serialization failure.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES ($1::text, 0, false, '', clock_timestamp(), 'epoch')
ON CONFLICT (name) DO UPDATE
SET fence = o.fence
RETURNING fence, failed, result, (extract(epoch FROM done_at) * 1000000)::bigint, keep_until > clock_timestamp()
