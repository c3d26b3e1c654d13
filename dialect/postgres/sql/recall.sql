-- Reads the last committed outcome that is kept for a name. On a replica it might be missing, and
-- the work would be done again: see get.sql for how a read/write splitter decides. encode writes
-- the result in one form, whatever bytea_output is.
WITH primary_only AS (DELETE FROM sqllock_outcomes WHERE false)
SELECT fence, failed, encode(result, 'hex'), (extract(epoch FROM done_at) * 1000000)::bigint, keep_until > clock_timestamp()
FROM sqllock_outcomes
WHERE name = $1::text
