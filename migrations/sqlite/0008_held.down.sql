DROP VIEW sqllock_held;
