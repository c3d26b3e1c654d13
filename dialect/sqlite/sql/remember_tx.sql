-- Writes the outcome of a name that the transaction has claimed.
UPDATE sqllock_outcomes
SET fence      = ?2,
    failed     = ?3,
    result     = ?4,
    done_at    = clock(),
    keep_until = clock() + ?5
WHERE name = ?1
  AND keep_until <= clock()
RETURNING fence, failed, result, done_at, 1
