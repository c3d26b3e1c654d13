-- How much of max_prepared_stmt_count is in use, by all clients.
SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'
