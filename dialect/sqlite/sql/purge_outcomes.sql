-- Deletes outcomes that are no longer kept, up to a limit.
DELETE FROM sqllock_outcomes
WHERE rowid IN (SELECT rowid
                FROM sqllock_outcomes
                WHERE keep_until <= clock()
                LIMIT ?1)
  AND keep_until <= clock()
