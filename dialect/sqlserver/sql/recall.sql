-- The outcome for a name, as it was committed last. If the database keeps no row versions, it waits
-- for a transaction that has claimed the name.
DECLARE @name nvarchar(4000) = @p1;
SELECT fence, failed, result, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), done_at),
       CAST(CASE WHEN keep_until > SYSUTCDATETIME() THEN 1 ELSE 0 END AS bit)
FROM sqllock_outcomes WITH (READCOMMITTED)
WHERE name = @name;
