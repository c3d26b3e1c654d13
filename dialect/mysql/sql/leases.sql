-- Leases by id. The ids are one JSON array, so that the statement is always the same. The collation
-- is the column's: otherwise the key wouldn't be used.
SELECT l.id, l.holder, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.expires_at),
       TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', l.renewed_at), l.ttl
FROM JSON_TABLE(?, '$[*]' COLUMNS (
         id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$'
     )) AS wanted
STRAIGHT_JOIN sqllock_leases AS l ON l.id = wanted.id
