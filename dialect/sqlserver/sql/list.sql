-- A page of lock rows in key order; see look.sql. The first condition is the second's shadow on the key: without it
-- each page might read all rows before it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT TOP (@p4) 0, name, slot, fence,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), acquired_at),
       DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), free_at),
       note, owner, lease_id
FROM sqllock_locks WITH (READCOMMITTED)
WHERE name >= @name
  AND (name > @name OR slot > @slot)
  AND (@p3 = 0 OR lease_id IS NOT NULL)
ORDER BY name, slot;
