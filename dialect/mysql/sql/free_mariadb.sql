-- free_mysql.sql in MariaDB's form; see acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
UPDATE sqllock_locks
SET lease_id = NULL,
    owner = NULL,
    acquired_at = IF(free_at > UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, lock_delay - ?) MICROSECOND,
        acquired_at, UTC_TIMESTAMP(6)),
    free_at = CASE WHEN free_at > UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, lock_delay - ?) MICROSECOND THEN free_at
                   WHEN lock_delay > ? THEN UTC_TIMESTAMP(6) + INTERVAL lock_delay - ? MICROSECOND
                   ELSE TIMESTAMP'1970-01-01 00:00:00' END,
    lock_delay = 0
WHERE name = ? AND slot = ? AND fence = ? AND lease_id = ?
