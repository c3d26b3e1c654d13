-- Ends a lease that has run out, by changing its id: a heartbeat no longer finds it, whatever the
-- clock does, and its end remains readable. It also ends a lease whose last renewal is the given
-- one, whatever the clock says, and lowers its end to now. If the statement waits for the row, the
-- lease ends later than it might, never earlier.
DECLARE @id nvarchar(4000) = @p1, @now datetime2(7) = SYSUTCDATETIME();
UPDATE sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
SET id         = CONCAT(N'ended.', id),
    expires_at = CASE WHEN expires_at > @now THEN @now ELSE expires_at END
OUTPUT inserted.ttl
WHERE id = @id
  AND (expires_at <= @now OR DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), renewed_at) = @p2);
