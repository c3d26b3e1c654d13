-- Reads what the server calls itself.
SELECT version()
