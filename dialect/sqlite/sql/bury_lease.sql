-- The mirror image of the heartbeat: of the two, exactly one finds the row.
DELETE FROM sqllock_leases
WHERE id = ?1
  AND expires_at <= clock()
RETURNING clock() - expires_at
