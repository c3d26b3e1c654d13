DELETE FROM sqllock_schema;
