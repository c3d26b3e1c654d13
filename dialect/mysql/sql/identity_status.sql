-- The cluster that a Galera node is a member of.
SHOW STATUS LIKE 'wsrep_cluster_state_uuid'
