-- The instance, or the logical server of Azure SQL.
SELECT @@SERVERNAME;
