DROP TABLE sqllock_waiters;
