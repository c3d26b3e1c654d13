-- Tables that can't be rolled back and have no row locks.
SELECT TABLE_NAME, ENGINE
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE()
  AND TABLE_NAME IN ('sqllock_leases', 'sqllock_locks', 'sqllock_waiters', 'sqllock_outcomes')
  AND ENGINE <> 'InnoDB'
