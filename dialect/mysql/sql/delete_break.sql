-- Deletes a record. Nothing changes or locks one, except for another purge.
DELETE FROM sqllock_breaks
WHERE id = ?
