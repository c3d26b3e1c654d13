-- Lets go of everything held under these leases. The rows are locked in order first, so that it can't deadlock with
-- somebody who buries the same ones.
DELETE FROM sqllock_leases
WHERE id = ANY (ARRAY(SELECT id
                      FROM sqllock_leases
                      WHERE id = ANY ($1::text[])
                      ORDER BY id
                      FOR UPDATE))
