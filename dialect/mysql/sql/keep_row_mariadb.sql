-- keep_row_mysql.sql in MariaDB's form; see acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
UPDATE sqllock_locks
SET free_at = UTC_TIMESTAMP(6)
WHERE name = ? AND slot = -1
