-- The database and the schema in which a session finds the tables.
SELECT CONCAT(N'database ', DB_NAME(), N', schema ', OBJECT_SCHEMA_NAME(OBJECT_ID(N'sqllock_locks')));
