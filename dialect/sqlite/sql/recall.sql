-- The outcome for a name, and whether it is still kept.
SELECT fence, failed, result, done_at, keep_until > clock()
FROM sqllock_outcomes
WHERE name = ?1
