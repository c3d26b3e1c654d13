-- purge_lock_mysql.sql in MariaDB's form; see acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
DELETE FROM sqllock_locks
WHERE name = ? AND slot = ?
  AND lease_id IS NULL
  AND GREATEST(free_at, acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
  AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)
  AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))
