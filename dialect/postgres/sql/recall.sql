-- The outcome that is kept for a name, as it was committed last. From a replica it might be missing, and the work be done again:
-- see look.sql for what a read/write splitter goes by.
WITH primary_only AS (DELETE FROM sqllock_outcomes WHERE false)
SELECT fence, failed, result, (extract(epoch FROM done_at) * 1000000)::bigint, keep_until > clock_timestamp()
FROM sqllock_outcomes
WHERE name = $1::text
