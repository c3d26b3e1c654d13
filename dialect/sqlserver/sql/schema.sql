-- The row that golang-migrate keeps. No row: migrated down to nothing. Version -1 is its word for the same.
SELECT TOP (1) version, dirty
FROM sqllock_schema_migrations;
