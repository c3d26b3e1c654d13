// Package servers gives tests real database servers.
//
// Each engine is resolved once a test process, by the first of these that works:
//
//  1. a URL in the environment;
//  2. Docker, through testcontainers-go, if an engine answers and the image is there or can be pulled;
//  3. binaries installed on this machine (see make deps), run as private instances: a data directory of their own, a
//     free port on the loopback interface, a user without rights. They can't outlive the test process. Linux only.
//
// PgBouncer comes from this machine only (make deps).
//
// Where none does, the test is skipped with a line on stderr that says what to install, or fails if
// SQLLOCK_TEST_REQUIRE names the engine.
//
// A cluster of three MariaDB nodes, "galera", is had in the third way only, by [Cluster].
//
// # Environment
//
//	SQLLOCK_TEST_POSTGRES15_URL    postgres://user:password@host:port/database?sslmode=disable
//	SQLLOCK_TEST_POSTGRES18_URL    the same; the user must be allowed to create databases
//	SQLLOCK_TEST_MYSQL_URL         mysql://user:password@host:port/database
//	SQLLOCK_TEST_MARIADB_URL       the same
//	SQLLOCK_TEST_SQLSERVER_URL     sqlserver://user:password@host:port?database=master, of a SQL Server or a Babelfish
//	SQLLOCK_TEST_POSTGRES15_IMAGE  the container image, and so for each engine; by default the official one
//	SQLLOCK_TEST_PROVIDER          env, docker or local: this way only
//	SQLLOCK_TEST_REQUIRE           engines that must be there, separated by commas, or "all"
//	SQLLOCK_CACHE                  where make deps unpacks servers
//
// A TestMain that calls [Main] stops the servers and removes their files. Without it they stop all the same, and
// the next process that uses this package removes the files.
package servers
