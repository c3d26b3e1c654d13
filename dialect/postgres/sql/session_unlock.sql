-- The mirror image of session_try.sql. Session locks are counted, and each was taken once.
SELECT pg_backend_pid()::bigint, place,
       CASE WHEN shared THEN pg_advisory_unlock_shared(key) ELSE pg_advisory_unlock(key) END
FROM unnest($1::text::bigint[], $2::text::boolean[]) WITH ORDINALITY AS lock (key, shared, place)
