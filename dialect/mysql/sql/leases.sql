-- Leases by id, for as many as are asked for: one JSON array, so that the statement is always the same one.
-- The collation is the column's, or the key wouldn't be used.
SELECT l.id, l.holder, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.expires_at)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$'
     )) AS wanted
STRAIGHT_JOIN sqllock_leases AS l ON l.id = wanted.id
