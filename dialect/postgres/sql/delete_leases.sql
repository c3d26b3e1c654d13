-- Deletes the leases, which releases everything held under them. The rows are locked in order
-- first, so that this can't deadlock with another statement that expires the same leases.
DELETE FROM sqllock_leases
WHERE id = ANY (ARRAY(SELECT id
                      FROM sqllock_leases
                      WHERE id = ANY ($1::text[])
                      ORDER BY id
                      FOR UPDATE))
