-- Settings under which a lock local to this server is worthless, since other servers take writes
-- too, and what a time-out undoes. There are no rows on a single server with default settings.
SHOW GLOBAL VARIABLES
WHERE (Variable_name IN ('wsrep_on', 'innodb_rollback_on_timeout') AND Value = 'ON')
   OR (Variable_name = 'group_replication_single_primary_mode' AND Value = 'OFF')
