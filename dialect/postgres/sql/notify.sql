-- Sends a message over the pool, to try whether the listening connection receives it.
SELECT pg_notify($1::text, $2::text)::text
