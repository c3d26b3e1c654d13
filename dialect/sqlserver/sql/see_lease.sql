-- How long a lease that couldn't be buried will last. No row: it is dead. READCOMMITTEDLOCK reads what was committed
-- last, also where the database would otherwise answer from a snapshot.
DECLARE @id nvarchar(4000) = @p1;
SELECT DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), expires_at)
FROM sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
WHERE id = @id;
