-- Writes an outcome unless one is kept. If one is kept it returns no row.
INSERT INTO sqllock_outcomes AS o (name, fence, failed, result, done_at, keep_until)
VALUES (?1, ?2, ?3, ?4, clock(), clock() + ?5)
ON CONFLICT (name) DO UPDATE
SET fence      = excluded.fence,
    failed     = excluded.failed,
    result     = excluded.result,
    done_at    = excluded.done_at,
    keep_until = excluded.keep_until
WHERE o.keep_until <= clock()
RETURNING fence, failed, result, done_at, 1
