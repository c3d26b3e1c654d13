-- Reads what the server calls itself, whether the migrations' table is there, and the encodings by
-- which texts are converted. to_regclass finds the table through search_path, as the other
-- statements find theirs, and returns NULL if there is none.
SELECT version(), current_setting('server_version'), to_regclass('sqllock_schema_migrations') IS NOT NULL,
       current_setting('client_encoding'), current_setting('server_encoding')
