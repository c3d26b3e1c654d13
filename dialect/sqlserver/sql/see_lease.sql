-- The state of a lease after expire_lease.sql: whether it was ended, and its end relative to now.
-- There is no row if it was deleted. READCOMMITTEDLOCK reads what was committed last, even where
-- the database would otherwise read from a snapshot.
DECLARE @id nvarchar(4000) = @p1;
SELECT CAST(CASE WHEN id = @id THEN 0 ELSE 1 END AS bit), DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), expires_at)
FROM sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
WHERE id IN (@id, CONCAT(N'ended.', @id));
