-- golang-migrate's row. There is none after migrating all the way down, or its version is -1.
SELECT TOP (2) version, dirty
FROM sqllock_schema_migrations;
