-- A database in memory and a temporary one have no file.
SELECT sqlite_version(), typeof(clock()), coalesce(file, ''),
       EXISTS (SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = 'sqllock_schema_migrations')
FROM pragma_database_list
WHERE name = 'main'
