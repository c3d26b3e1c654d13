-- Whether a read under READ COMMITTED gets row versions and waits for nothing. It is on by default
-- in Azure SQL.
SELECT is_read_committed_snapshot_on
FROM sys.databases
WHERE database_id = DB_ID();
