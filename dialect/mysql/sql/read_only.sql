-- Whether the server behind a connection takes no writes. super_read_only, which only MySQL has, implies read_only.
SELECT @@read_only OR @@innodb_read_only
