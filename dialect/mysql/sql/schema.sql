-- golang-migrate's table: one row, or none after migrating all the way down.
SELECT version, dirty
FROM sqllock_schema_migrations
LIMIT 2
