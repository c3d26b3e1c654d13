-- Deletes waiters whose lease is dead; see bury_expired.sql for the hints. A lease that isn't there is dead for ever, as is one
-- that has run out. Its row is looked for after the waiter's, or one that is new might be missing: LOOP JOIN.
DECLARE @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p1) FROM sqllock_waiters WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE NOT EXISTS (SELECT 1
                  FROM sqllock_leases AS e WITH (READUNCOMMITTED)
                  WHERE e.id = sqllock_waiters.lease_id
                    AND e.expires_at > @now)
OPTION (LOOP JOIN);
