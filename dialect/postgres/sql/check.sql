-- Reads the settings as the pool's own connections have them. A setting that the server doesn't
-- know is empty, and no error.
SELECT version(), current_setting('server_version'), pg_is_in_recovery(), current_setting('transaction_read_only'),
       current_setting('default_transaction_isolation'),
       coalesce(current_setting('synchronous_commit', true), ''), coalesce(current_setting('fsync', true), ''),
       coalesce((SELECT string_agg(name || '=' || setting || coalesce(unit, ''), ', ' ORDER BY name)
                 FROM pg_settings
                 WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout',
                                'idle_in_transaction_session_timeout', 'idle_session_timeout')
                   AND setting <> '0'), '')
