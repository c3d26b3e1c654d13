-- The breaks of locks of a name, the last one first.
SELECT id, name, slot, kind, fence, holder, note, acquired_at, broken_by, broken_from, reason, broken_at
FROM sqllock_breaks
WHERE name = ?1
ORDER BY broken_at DESC, fence DESC, id
LIMIT ?2
