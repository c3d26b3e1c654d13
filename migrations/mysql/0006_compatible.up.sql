-- Programs of version 4 accept newer tables that say so, and their statements run on these tables.
-- IGNORE: if nodes of a cluster migrate at the same time, the statement runs twice.
INSERT IGNORE INTO sqllock_schema (compatible_from) VALUES (4);
