-- Which session this is, and where. Names of schemas that the server doesn't distinguish are mapped
-- to one. The code appends to this statement. It must not read a table, or the session would have a
-- snapshot.
SELECT CONNECTION_ID(), IF(@@lower_case_table_names = 0, DATABASE(), LOWER(DATABASE())), @@read_only
