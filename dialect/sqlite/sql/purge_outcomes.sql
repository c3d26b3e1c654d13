-- Deletes outcomes that are kept no longer, so many at most.
DELETE FROM sqllock_outcomes
WHERE rowid IN (SELECT rowid
                FROM sqllock_outcomes
                WHERE keep_until <= clock()
                LIMIT ?1)
