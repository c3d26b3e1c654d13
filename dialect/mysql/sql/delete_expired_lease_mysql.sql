-- Deletes a lease that ran out at least that long ago, or what is kept of one that was ended,
-- without waiting for a locked row; see acquire_mysql.sql.
DELETE l
FROM (SELECT id
      FROM sqllock_leases
      WHERE id = ? AND expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
      LIMIT 1
      FOR UPDATE SKIP LOCKED) AS expired
JOIN sqllock_leases AS l ON l.id = expired.id
WHERE l.expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
