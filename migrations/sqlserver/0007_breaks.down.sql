DROP TABLE sqllock_breaks;
