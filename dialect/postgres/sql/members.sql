-- The streaming standbys, any of which may be promoted. They have told this server nothing about
-- their ports. An account without pg_monitor sees none. Backups and archivers replay nothing.
SELECT DISTINCT host(client_addr)
FROM pg_stat_replication AS r
WHERE client_addr IS NOT NULL
  AND state = 'streaming'
  AND replay_lsn IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
ORDER BY 1
