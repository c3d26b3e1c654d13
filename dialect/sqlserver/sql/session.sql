-- Whether this is the session that took the lock with that name, and whether the database takes
-- writes: a secondary's locks are local to it.
SELECT COALESCE(APPLOCK_MODE('public', CONCAT(@p1, N' ', DB_NAME()), 'Session'), N''),
       COALESCE(CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128)), N'');
