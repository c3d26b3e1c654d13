-- As purge_waiter_mysql.sql, in the way of acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
DELETE FROM sqllock_waiters
WHERE owner = ?
