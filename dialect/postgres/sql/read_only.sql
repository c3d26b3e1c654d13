-- Whether the server behind a connection takes no writes: it is a standby, or was told so.
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
