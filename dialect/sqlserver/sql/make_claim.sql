-- Makes a name that was never settled the transaction's, by a row that was never kept, so that it means nothing if nothing else
-- is written there before the commit, not even to a server whose clock is behind. That somebody was faster, 2627 or 2601, must
-- not roll the transaction back: the setting ends with this batch, which has parameters and so is run by sp_executesql.
SET XACT_ABORT OFF;
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
OUTPUT inserted.fence, inserted.failed, inserted.result, CAST(0 AS bigint), CAST(0 AS bit)
VALUES (@p1, 0, 0, 0x, SYSUTCDATETIME(), CAST('19700101' AS datetime2(7)));
