-- Deletes a waiter, without waiting for a locked row: see acquire_mysql.sql. CONCAT prevents the
-- outer condition from using the unique index. Otherwise the row would first be looked up by it,
-- and waited for.
DELETE w
FROM (SELECT ticket
      FROM sqllock_waiters
      WHERE owner = ?
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS dead
JOIN sqllock_waiters AS w ON w.ticket = dead.ticket
WHERE CONCAT(w.owner, '') = ?
