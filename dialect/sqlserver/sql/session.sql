-- Whether this is the session that took the lock of that name, and whether the database takes writes: a secondary's
-- locks are its own.
SELECT COALESCE(APPLOCK_MODE('public', CONCAT(@p1, N' ', DB_NAME()), 'Session'), N''),
       COALESCE(CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128)), N'');
