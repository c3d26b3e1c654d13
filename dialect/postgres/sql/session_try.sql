-- Each key is tried exactly once: a volatile function in the select list of a scan that has no WHERE, no LIMIT and no
-- ORDER BY, and CASE evaluates the branch that it takes only.
SELECT pg_backend_pid()::bigint, place,
       CASE WHEN shared THEN pg_try_advisory_lock_shared(key) ELSE pg_try_advisory_lock(key) END
FROM unnest($1::text::bigint[], $2::text::boolean[]) WITH ORDINALITY AS lock (key, shared, place)
