-- The outcome that is kept for a name. A locking read: it sees what was committed last and nothing else, under every level of
-- isolation, and waits for whoever has claimed the name. FOR UPDATE at the end is what read/write splitters go by.
SELECT fence, failed, result, TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', done_at),
       keep_until > UTC_TIMESTAMP(6)
FROM sqllock_outcomes
WHERE name = ?
FOR UPDATE
