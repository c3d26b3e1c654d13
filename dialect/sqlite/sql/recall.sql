-- The outcome that is kept for a name.
SELECT fence, failed, result, done_at, keep_until > clock()
FROM sqllock_outcomes
WHERE name = ?1
