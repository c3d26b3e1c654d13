-- What makes a lock of one server's own worthless: others that take writes too; and what a time-out undoes. No rows on a
-- server by itself as it comes.
SHOW GLOBAL VARIABLES
WHERE (Variable_name IN ('wsrep_on', 'innodb_rollback_on_timeout') AND Value = 'ON')
   OR (Variable_name = 'group_replication_single_primary_mode' AND Value = 'OFF')
