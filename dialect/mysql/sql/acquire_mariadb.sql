-- acquire_mysql.sql in MariaDB's form. MariaDB accepts that one as well, but creates a temporary
-- table on disk for every UPDATE of a join. That takes twice the time. Under load, MariaDB 10.11
-- sometimes returned error 6, and crashed once, when it couldn't delete that table's file. With
-- innodb_lock_wait_timeout = 0 it returns error 1205 at once if another has locked the row.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(
        fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))),
    lease_id = ?,
    owner = ?,
    note = ?,
    acquired_at = UTC_TIMESTAMP(6),
    free_at = COALESCE(UTC_TIMESTAMP(6) + INTERVAL NULLIF(?, 0) MICROSECOND, TIMESTAMP'1970-01-01 00:00:00'),
    lock_delay = ?
WHERE name = ? AND slot = ? AND ((lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR owner = ?)
