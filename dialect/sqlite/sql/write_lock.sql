-- A write that writes nothing: it takes the write lock, or says that another has it.
UPDATE sqllock_locks
SET owner = owner
WHERE FALSE
