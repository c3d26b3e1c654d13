-- Buries a lease without waiting for whoever is at its row: see acquire_mysql.sql for how that is done.
DELETE l
FROM (SELECT id
      FROM sqllock_leases
      WHERE id = ? AND expires_at <= UTC_TIMESTAMP(6)
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS expired
JOIN sqllock_leases AS l ON l.id = expired.id
