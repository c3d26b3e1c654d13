-- Releases each key exactly once, for the same reasons as in session_try.sql. Session locks are
-- counted, and each was taken once. Another process than the session's own has locks of other
-- clients of a pooler, which stay.
SELECT pg_backend_pid()::bigint, place,
       CASE WHEN pg_backend_pid() <> $3::bigint THEN false
            WHEN shared THEN pg_advisory_unlock_shared(key) ELSE pg_advisory_unlock(key) END
FROM unnest($1::text::bigint[], $2::text::boolean[]) WITH ORDINALITY AS lock (key, shared, place)
