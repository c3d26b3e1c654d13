-- Deletes an outcome that is no longer kept, without waiting for a locked row: see
-- acquire_mysql.sql.
DELETE o
FROM (SELECT name
      FROM sqllock_outcomes
      WHERE name = ? AND keep_until <= UTC_TIMESTAMP(6)
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS old
JOIN sqllock_outcomes AS o ON o.name = old.name
WHERE o.keep_until <= UTC_TIMESTAMP(6)
