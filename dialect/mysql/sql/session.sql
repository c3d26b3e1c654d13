-- What a session of this pool is like. super_read_only, which MySQL alone has, implies read_only.
SELECT @@version_comment, DATABASE(), @@autocommit, @@read_only, @@innodb_read_only,
       @@character_set_client, @@character_set_connection, @@character_set_results
