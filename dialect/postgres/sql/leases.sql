-- Reads the leases that lock rows were seen to name.
SELECT id, holder, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint
FROM sqllock_leases
WHERE id = ANY ($1::text[])
