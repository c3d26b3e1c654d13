-- The oldest schema version whose programs may use these tables. It is read only if the tables are
-- newer than this program.
SELECT compatible_from
FROM sqllock_schema
