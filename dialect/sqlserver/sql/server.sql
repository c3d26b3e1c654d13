-- What answers, whether the migrations' table is where the other statements look for theirs, and whether a session of
-- this pool would leave its statements uncommitted (IMPLICIT_TRANSACTIONS).
SELECT @@VERSION, CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)),
       CASE WHEN OBJECT_ID('sqllock_schema_migrations') IS NULL THEN 0 ELSE 1 END,
       @@OPTIONS & 2;
