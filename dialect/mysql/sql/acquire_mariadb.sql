-- As acquire_mysql.sql, which MariaDB takes as well, but then makes a temporary table on disk for every UPDATE of a
-- join: that needs twice the time, and under load MariaDB 10.11 answered error 6 now and then, and crashed once, when
-- it couldn't delete that table's file. Its own way not to wait: error 1205 at once if anybody is at the row.
SET STATEMENT innodb_lock_wait_timeout = 0 FOR
UPDATE sqllock_locks
SET fence = LAST_INSERT_ID(GREATEST(
        fence + 1, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)))),
    lease_id = ?,
    owner = ?,
    note = ?,
    acquired_at = UTC_TIMESTAMP(6),
    free_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND,
    lock_delay = ?
WHERE name = ? AND slot = ? AND ((lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR owner = ?)
