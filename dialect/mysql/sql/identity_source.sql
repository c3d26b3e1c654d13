-- The servers that this one replicates from. Few accounts may read it.
SELECT DISTINCT SOURCE_UUID FROM performance_schema.replication_connection_status WHERE SOURCE_UUID <> ''
