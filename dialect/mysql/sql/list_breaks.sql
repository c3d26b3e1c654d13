-- The breaks of locks of a name, the last one first.
SELECT id, name, slot, kind, fence, holder, note,
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', acquired_at),
       broken_by, broken_from, reason, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', broken_at)
FROM sqllock_breaks
WHERE name = ?
ORDER BY broken_at DESC, fence DESC, id
LIMIT ?
