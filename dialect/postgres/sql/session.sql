-- Who answers: a session is one process of the server, from its beginning to its end.
SELECT pg_backend_pid()::bigint, pg_is_in_recovery()
