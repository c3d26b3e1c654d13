-- The lock is held by the caller's transaction. A refusal is a value and not an error, so that the
-- transaction remains usable.
SELECT pg_try_advisory_xact_lock_shared($1::bigint)
