DROP TABLE sqllock_outcomes;
