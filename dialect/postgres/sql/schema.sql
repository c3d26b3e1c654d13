-- Reads the row that golang-migrate keeps. No row means that everything was migrated down.
-- golang-migrate may also write version -1 for that.
SELECT version, dirty
FROM sqllock_schema_migrations
LIMIT 2
