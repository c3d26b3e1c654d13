-- Run out or not: its locks are let go by this one row.
DELETE FROM sqllock_leases
WHERE id = ?
