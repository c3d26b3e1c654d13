-- Deletes a lease that has run out, and says for how long it has been over. A lease is buried later than it might be
-- where the statement waited for its row, never earlier.
DECLARE @id nvarchar(4000) = @p1, @now datetime2(7) = SYSUTCDATETIME();
DELETE FROM sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
OUTPUT DATEDIFF_BIG(microsecond, deleted.expires_at, @now)
WHERE id = @id
  AND expires_at <= @now;
