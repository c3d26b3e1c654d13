-- The outcome for a name. A locking read sees what was committed last and nothing else, under every
-- isolation level, and waits for a transaction that has claimed the name. Read/write splitters
-- recognize the FOR UPDATE at the end.
SELECT fence, failed, result, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', done_at),
       keep_until > UTC_TIMESTAMP(6)
FROM sqllock_outcomes
WHERE name = ?
FOR UPDATE
