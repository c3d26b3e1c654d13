-- Each key is tried exactly once: the volatile function is in the select list of a scan without
-- WHERE, LIMIT and ORDER BY, and CASE evaluates only the branch that it takes. Another process than
-- the session's own belongs to other clients of a pooler, and takes nothing.
SELECT pg_backend_pid()::bigint, place,
       CASE WHEN pg_backend_pid() <> $3::bigint THEN false
            WHEN shared THEN pg_try_advisory_lock_shared(key) ELSE pg_try_advisory_lock(key) END
FROM unnest($1::text::bigint[], $2::text::boolean[]) WITH ORDINALITY AS lock (key, shared, place)
