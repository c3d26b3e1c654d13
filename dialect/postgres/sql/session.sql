-- Reads the server process that replies. A session has the same process from its beginning to its
-- end.
SELECT pg_backend_pid()::bigint, pg_is_in_recovery()
