-- The settings that Check reports. Each server has some of these.
SHOW VARIABLES
WHERE Variable_name IN ('version_comment', 'read_only', 'super_read_only', 'innodb_read_only',
                        'transaction_isolation', 'tx_isolation', 'wait_timeout', 'binlog_format', 'log_bin',
                        'max_prepared_stmt_count')
