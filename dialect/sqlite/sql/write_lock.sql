-- A write that writes nothing. It takes the write lock, or fails because another has it.
UPDATE sqllock_locks
SET owner = owner
WHERE FALSE
