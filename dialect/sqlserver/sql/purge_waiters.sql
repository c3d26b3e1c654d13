-- Deletes waiters whose lease is dead; see delete_expired.sql for the hints. A lease that doesn't
-- exist or has expired is dead for ever. LOOP JOIN looks the lease up after the waiter: otherwise a
-- new lease might be missed.
DECLARE @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p1) FROM sqllock_waiters WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.slot
WHERE NOT EXISTS (SELECT 1
                  FROM sqllock_leases AS e WITH (READUNCOMMITTED)
                  WHERE e.id = sqllock_waiters.lease_id
                    AND e.expires_at > @now)
OPTION (LOOP JOIN);
