-- Ends a lease that has run out, by changing its id: a heartbeat no longer finds it, whatever the
-- clock does, and its end remains readable. It also ends a lease whose last renewal is the given
-- one, whatever the clock says, and lowers its end to now. It is the counterpart of the heartbeat:
-- of the two, exactly one finds the row.
UPDATE sqllock_leases
SET id         = 'ended.' || id,
    expires_at = min(expires_at, clock())
WHERE id = ?1
  AND (expires_at <= clock() OR renewed_at = ?2)
