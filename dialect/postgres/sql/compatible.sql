-- Reads the oldest schema version whose programs may use these tables. A program sends this only if
-- the tables are newer than itself.
SELECT compatible_from
FROM sqllock_schema
