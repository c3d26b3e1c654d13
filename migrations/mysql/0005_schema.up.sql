-- The oldest schema version whose programs may use these tables. Newer ones may use them as well.
-- COMPATIBILITY.md has the policy.
CREATE TABLE sqllock_schema (
    compatible_from BIGINT NOT NULL PRIMARY KEY
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
