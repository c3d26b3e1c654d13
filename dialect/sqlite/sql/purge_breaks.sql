-- Deletes old breaks, up to a limit.
DELETE FROM sqllock_breaks
WHERE id IN (SELECT id
             FROM sqllock_breaks
             WHERE broken_at < clock() - ?1
             LIMIT ?2)
