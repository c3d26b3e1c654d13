-- The subquery applies the limit. The condition is repeated outside of it, as on every engine.
DELETE FROM sqllock_leases
WHERE id IN (SELECT id FROM sqllock_leases WHERE expires_at <= clock() - ?1 LIMIT ?2)
  AND expires_at <= clock() - ?1
