-- Releases everything held under this lease.
DECLARE @id nvarchar(4000) = @p1;
DELETE FROM sqllock_leases WITH (ROWLOCK, READCOMMITTEDLOCK)
OUTPUT deleted.ttl
WHERE id = @id;
