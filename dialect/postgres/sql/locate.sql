-- Reads the database, and the schema in which a session finds the tables.
SELECT format('database %s, schema %s', current_database(),
              (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = to_regclass('sqllock_locks')))
