-- Whether a read under READ COMMITTED gets row versions and waits for nobody. Azure SQL has it on from the beginning.
SELECT is_read_committed_snapshot_on
FROM sys.databases
WHERE database_id = DB_ID();
