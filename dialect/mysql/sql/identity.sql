-- What distinguishes servers. Each server has some of these.
SHOW VARIABLES
WHERE Variable_name IN ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir', 'group_replication_group_name')
