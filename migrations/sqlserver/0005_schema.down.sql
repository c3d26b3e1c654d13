DROP TABLE sqllock_schema;
