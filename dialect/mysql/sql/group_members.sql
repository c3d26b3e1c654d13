-- The other members of this server's group. It needs SELECT on this table.
SELECT CONCAT(MEMBER_HOST, ':', MEMBER_PORT)
FROM performance_schema.replication_group_members
WHERE MEMBER_ID <> @@server_uuid
  AND MEMBER_STATE IN ('ONLINE', 'RECOVERING')
ORDER BY 1
