-- Writes an outcome, unless one is kept already; then it returns no row. It waits for a transaction
-- that has claimed the name. The times are read after that wait, and so not taken from excluded.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES ($1::text, $2::bigint, $3::boolean, decode($4::text, 'hex'), clock_timestamp(),
        clock_timestamp() + $5::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE
SET fence      = excluded.fence,
    failed     = excluded.failed,
    result     = excluded.result,
    done_at    = clock_timestamp(),
    keep_until = clock_timestamp() + $5::bigint * interval '1 microsecond'
WHERE o.keep_until <= clock_timestamp()
RETURNING fence, failed, encode(result, 'hex'), (extract(epoch FROM done_at) * 1000000)::bigint, true
