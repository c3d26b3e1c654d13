-- The settings of the database and of a session of the pool.
SELECT COALESCE(CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128)), N''),
       d.is_read_committed_snapshot_on,
       COALESCE(d.delayed_durability_desc, N'UNKNOWN'), COALESCE(s.transaction_isolation_level, 0)
FROM sys.databases AS d
LEFT JOIN sys.dm_exec_sessions AS s ON s.session_id = @@SPID
WHERE d.database_id = DB_ID();
