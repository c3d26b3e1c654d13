-- Makes the name the transaction's, by an UPDATE that changes nothing: what that locks, it locks for good on every level. Under
-- SNAPSHOT a row that is newer than what the transaction sees is error 3960, which has rolled it back.
--
-- Another statement reads the row: the UPDATE reads the clock before it waits for the row, and so its OUTPUT might tell of an
-- outcome that ended meanwhile. (Babelfish knows no inserted row within a CASE, either.) NOCOUNT leaves @@ROWCOUNT as it is.
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
