-- What calls itself PostgreSQL. to_regclass finds the migrations' table the way that the other statements find
-- theirs, through search_path, and answers NULL where there is none.
SELECT version(), current_setting('server_version'), to_regclass('sqllock_schema_migrations') IS NOT NULL
