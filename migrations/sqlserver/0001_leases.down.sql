DROP TABLE sqllock_leases;
