-- Which session this is, and where. Schemas that the server doesn't tell apart are one; the statement that this is the
-- start of must not read a table, or the session would have a snapshot.
SELECT CONNECTION_ID(), IF(@@lower_case_table_names = 0, DATABASE(), LOWER(DATABASE())), @@read_only
