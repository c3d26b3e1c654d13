-- Programs of version 4 accept newer tables that say so, and their statements run on these tables.
INSERT INTO sqllock_schema (compatible_from) VALUES (4);
