DROP TABLE sqllock_locks;
