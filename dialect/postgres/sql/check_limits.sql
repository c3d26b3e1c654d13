-- Reads how many client connections there may be, how many there are, and how many advisory locks
-- fit at least.
SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_locks_per_transaction')::bigint *
       (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
