SELECT version, dirty
FROM sqllock_schema_migrations
