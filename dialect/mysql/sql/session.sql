-- The settings of a session of this pool. super_read_only, which only MySQL has, implies read_only.
SELECT @@version_comment, DATABASE(), @@autocommit, @@read_only, @@innodb_read_only,
       @@character_set_client, @@character_set_connection, @@character_set_results,
       @@sql_mode, @@completion_type, @@sql_select_limit, @@max_sort_length
