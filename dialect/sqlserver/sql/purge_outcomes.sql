-- Deletes outcomes that are no longer kept; see delete_expired.sql for the hints.
DECLARE @now datetime2(7) = SYSUTCDATETIME();
DELETE TOP (@p1) FROM sqllock_outcomes WITH (ROWLOCK, READPAST, READCOMMITTEDLOCK)
OUTPUT deleted.fence
WHERE keep_until <= @now;
