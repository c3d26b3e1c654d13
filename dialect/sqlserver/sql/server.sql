-- Which server this is, whether the migrations' table exists where the other statements look for
-- their tables, and whether a session of this pool would leave its statements uncommitted
-- (IMPLICIT_TRANSACTIONS).
SELECT @@VERSION, CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)),
       CASE WHEN OBJECT_ID('sqllock_schema_migrations') IS NULL THEN 0 ELSE 1 END,
       @@OPTIONS & 2;
