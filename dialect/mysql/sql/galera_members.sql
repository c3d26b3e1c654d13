-- The nodes of this server's cluster: their number, their addresses in the order of their indexes,
-- and this one's index.
SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_incoming_addresses', 'wsrep_local_index')
