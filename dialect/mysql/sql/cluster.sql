-- ON on a node of a Galera cluster, OFF on MariaDB by itself; no row where the server was built without.
SHOW VARIABLES LIKE 'wsrep_on'
