-- Reads the breaks of locks of a name, the last one first. People read this, and nothing is decided
-- by it, so it may come from a replica.
SELECT id, name, slot, kind, fence, holder, note, (extract(epoch FROM acquired_at) * 1000000)::bigint,
       broken_by, broken_from, reason, (extract(epoch FROM broken_at) * 1000000)::bigint
FROM sqllock_breaks
WHERE name = $1::text
ORDER BY broken_at DESC, fence DESC, id
LIMIT $2::bigint
