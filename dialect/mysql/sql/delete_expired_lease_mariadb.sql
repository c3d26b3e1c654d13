-- delete_expired_lease_mysql.sql in MariaDB's form; see acquire_mariadb.sql.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
DELETE FROM sqllock_leases
WHERE id = ? AND expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND
