-- purge_waiter_mysql.sql in MariaDB's form; see acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
DELETE FROM sqllock_waiters
WHERE owner = ?
