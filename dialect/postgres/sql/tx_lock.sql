-- Waits in the server's own queue. The lock is held by the caller's transaction.
SELECT pg_advisory_xact_lock($1::bigint)::text
