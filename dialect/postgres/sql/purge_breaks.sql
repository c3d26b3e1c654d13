-- Deletes old breaks. It takes no locks beforehand as delete_expired.sql does: that needs the right
-- to UPDATE, which nobody has on this table. Two of these statements may choose the same rows, and
-- then one waits for the other. See delete_expired.sql for ARRAY(…).
DELETE FROM sqllock_breaks
WHERE id = ANY (ARRAY(SELECT id
                      FROM sqllock_breaks
                      WHERE broken_at < clock_timestamp() - $1::bigint * interval '1 microsecond'
                      LIMIT $2::bigint))
