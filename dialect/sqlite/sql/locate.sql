-- The file in which a connection finds the tables.
SELECT 'file ' || file
FROM pragma_database_list
WHERE name = 'main'
