-- Claims a name without an outcome for the transaction, by a row that is kept until 1970: it means
-- nothing unless the transaction writes an outcome before the commit, not even to a server whose
-- clock is behind. If another client was faster (2627 or 2601), that must not roll the transaction
-- back. The setting ends with this batch, which has parameters and so is run by sp_executesql.
SET XACT_ABORT OFF;
INSERT INTO sqllock_outcomes (name, fence, failed, result, done_at, keep_until)
OUTPUT inserted.fence, inserted.failed, inserted.result, CAST(0 AS bigint), CAST(0 AS bit)
VALUES (@p1, 0, 0, 0x, SYSUTCDATETIME(), CAST('19700101' AS datetime2(7)));
