-- Deletes an outcome that is kept no longer, without waiting for whoever is at the row: see acquire_mysql.sql.
DELETE o
FROM (SELECT name
      FROM sqllock_outcomes
      WHERE name = ? AND keep_until <= UTC_TIMESTAMP(6)
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS old
JOIN sqllock_outcomes AS o ON o.name = old.name
