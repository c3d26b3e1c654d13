-- The database in which a session finds the tables.
SELECT CONCAT('database ', DATABASE())
