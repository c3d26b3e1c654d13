-- A write that changes nothing. It takes the write lock, which SQLite keeps until the transaction
-- ends.
UPDATE sqllock_locks
SET owner = owner
WHERE name = ?1
  AND slot = ?2
  AND owner = ?3
