-- The breaks of locks of a name, the last one first; see get.sql for the hint.
DECLARE @name nvarchar(4000) = @p1;
SELECT TOP (@p2) id, name, slot, kind, fence, holder, note,
       DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), acquired_at),
       broken_by, broken_from, reason, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), broken_at)
FROM sqllock_breaks WITH (READCOMMITTED)
WHERE name = @name
ORDER BY broken_at DESC, fence DESC, id;
