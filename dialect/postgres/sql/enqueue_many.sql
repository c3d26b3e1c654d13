-- enqueue.sql for many waiters whose keys and owners all differ, in one statement and so one
-- commit. The conditions and their reasons are the same. The rows are inserted in the order of
-- their owners, so that two of these statements can't wait for each other if one of them was sent
-- again. For (SELECT $1) see acquire_many.sql.
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest((SELECT $1::text[]), (SELECT $2::integer[]), (SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]),
                (SELECT $6::bigint[]), (SELECT $7::bigint[]), (SELECT $8::text[]), (SELECT $9::text[]))
         WITH ORDINALITY AS a (name, slot, owner, lease_id, note, hold, delay, channel, holds, ord)
), mine AS (
    INSERT INTO sqllock_waiters (name, slot, owner, lease_id, note, hold, lock_delay, channel, since, holds)
    SELECT name, slot, owner, lease_id, note, hold, delay, nullif(channel, ''), clock_timestamp(), holds
    FROM asked
    ORDER BY owner COLLATE "C"
    ON CONFLICT (owner) DO UPDATE SET owner = excluded.owner
    RETURNING name, slot, owner, ticket
)
SELECT asked.ord, mine.ticket,
       NOT EXISTS (SELECT 1 FROM sqllock_waiters AS w
                   WHERE name = mine.name
                     AND slot = mine.slot
                     AND ticket < mine.ticket
                     AND EXISTS (SELECT 1 FROM sqllock_leases
                                 WHERE id = w.lease_id AND expires_at > clock_timestamp() OFFSET 0)
                   OFFSET 0)
FROM mine
JOIN asked ON asked.owner = mine.owner
