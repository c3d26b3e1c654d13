-- A page of lock rows in key order; see get.sql. The first condition follows from the second.
-- Without it each page might read all rows before it.
DECLARE @name nvarchar(4000) = @p1, @slot int = @p2;
SELECT TOP (@p4) 0, name, slot, fence,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), acquired_at),
       DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), free_at),
       CASE WHEN DATEDIFF_BIG(microsecond, acquired_at, free_at) > lock_delay
            THEN DATEDIFF_BIG(microsecond, acquired_at, free_at) ELSE lock_delay END,
       note, owner, lease_id
FROM sqllock_locks WITH (READCOMMITTED)
WHERE name >= @name
  AND (name > @name OR slot > @slot)
  AND (@p3 = 0 OR lease_id IS NOT NULL)
ORDER BY name, slot;
