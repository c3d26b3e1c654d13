-- What this server is a member of. There are no rows on a single server.
SHOW GLOBAL VARIABLES
WHERE Variable_name = 'group_replication_group_name' AND Value <> '' OR Variable_name = 'wsrep_on' AND Value = 'ON'
