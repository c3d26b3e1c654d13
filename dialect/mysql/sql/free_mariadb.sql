-- As free_mysql.sql, in the way of acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
UPDATE sqllock_locks
SET lease_id = NULL,
    owner = NULL,
    free_at = GREATEST(free_at, UTC_TIMESTAMP(6) + INTERVAL GREATEST(0, lock_delay - ?) MICROSECOND)
WHERE name = ? AND slot = ? AND fence = ? AND lease_id = ?
