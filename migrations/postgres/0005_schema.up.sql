-- The oldest schema version whose programs may use these tables. Newer ones may use them as well.
-- COMPATIBILITY.md has the policy.
CREATE TABLE sqllock_schema (
    compatible_from bigint NOT NULL PRIMARY KEY
);
