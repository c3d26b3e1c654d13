-- Claims the name for the transaction, by an UPDATE that changes nothing: the locks of an UPDATE
-- are kept on every isolation level. Under SNAPSHOT a row that is newer than the transaction's
-- snapshot is error 3960, which has rolled it back.
--
-- Another statement reads the row. The UPDATE reads the clock before it waits for the row, so its
-- OUTPUT might return an outcome that ended meanwhile. (Babelfish doesn't support an inserted row
-- within a CASE, either.) NOCOUNT doesn't affect @@ROWCOUNT.
DECLARE @name nvarchar(4000) = @p1, @claimed int;
UPDATE sqllock_outcomes WITH (ROWLOCK, READCOMMITTEDLOCK)
SET fence = fence
WHERE name = @name;
SET @claimed = @@ROWCOUNT;
SELECT fence, failed, result, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), done_at),
       CAST(CASE WHEN keep_until > SYSUTCDATETIME() THEN 1 ELSE 0 END AS bit)
FROM sqllock_outcomes
WHERE name = @name
  AND @claimed = 1;
