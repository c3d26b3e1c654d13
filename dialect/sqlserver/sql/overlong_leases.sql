-- Leases whose remaining time exceeds their TTL: the clock was set back since they were renewed.
SELECT TOP (@p1) id, DATEDIFF_BIG(microsecond, CAST('19700101' AS datetime2(7)), renewed_at), ttl
FROM sqllock_leases WITH (READUNCOMMITTED)
WHERE DATEDIFF_BIG(microsecond, SYSUTCDATETIME(), expires_at) > ttl
  AND LEFT(id, 6) <> N'ended.';
