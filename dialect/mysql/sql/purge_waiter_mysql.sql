-- Deletes a waiter, without waiting for whoever is at the row: see acquire_mysql.sql.
DELETE w
FROM (SELECT ticket
      FROM sqllock_waiters
      WHERE owner = ?
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS dead
JOIN sqllock_waiters AS w ON w.ticket = dead.ticket
