-- Sends a message over the pool, to see whether the connection that listens hears it.
SELECT pg_notify($1::text, $2::text)::text
