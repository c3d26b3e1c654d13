-- Reserves the name for the transaction. If there is no row, it inserts one that was never kept.
-- Unless an outcome is written there before the commit, that row means nothing, even to a server
-- whose clock is behind. If there is a row, it updates the row without changing it. Under
-- REPEATABLE READ and SERIALIZABLE a row that is newer than the snapshot is a serialization
-- failure.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES ($1::text, 0, false, '', clock_timestamp(), 'epoch')
ON CONFLICT (name) DO UPDATE
SET fence = o.fence
RETURNING fence, failed, encode(result, 'hex'), (extract(epoch FROM done_at) * 1000000)::bigint, keep_until > clock_timestamp()
