-- For the caller's transaction; a refusal is a value, so that the transaction can be used on.
SELECT pg_try_advisory_xact_lock($1::bigint)
