-- leases.sql for TiDB, which has no JSON_TABLE. The code repeats the id in IN.
SELECT id, holder, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at),
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', renewed_at), ttl
FROM sqllock_leases
WHERE id IN (?)
