-- Writes the outcome of a name that the transaction has claimed.
UPDATE sqllock_outcomes
SET fence      = $2::bigint,
    failed     = $3::boolean,
    result     = decode($4::text, 'hex'),
    done_at    = clock_timestamp(),
    keep_until = clock_timestamp() + $5::bigint * interval '1 microsecond'
WHERE name = $1::text
  AND keep_until <= clock_timestamp()
RETURNING fence, failed, encode(result, 'hex'), (extract(epoch FROM done_at) * 1000000)::bigint, true
