// Package servers gives tests real database servers.
//
// Each engine is resolved once in each test process, by the first of these that works:
//
//  1. a URL in the environment;
//  2. Docker, through testcontainers-go, if a Docker engine responds and the image is present or
//     can be pulled;
//  3. binaries installed on this machine (see make deps), run as private instances with a data
//     directory of their own, on a free port of the loopback interface, by a user without rights.
//     They can't outlive the test process. This works on Linux only.
//
// PgBouncer is only run from what is installed on this machine (make deps).
//
// If none of them works, the test is skipped with a line on stderr that says what to install. It
// fails instead if SQLLOCK_TEST_REQUIRE names the engine.
//
// [Cluster] starts "galera", a cluster of three MariaDB nodes, and [Group] "group-replication", a
// group of three MySQL servers, in the third way only.
//
// # Environment
//
//	SQLLOCK_TEST_POSTGRES15_URL    postgres://user:password@host:port/database?sslmode=disable
//	SQLLOCK_TEST_POSTGRES18_URL    the same; the user must be allowed to create databases
//	SQLLOCK_TEST_MYSQL_URL         mysql://user:password@host:port/database
//	SQLLOCK_TEST_MARIADB_URL       the same
//	SQLLOCK_TEST_SQLSERVER_URL     sqlserver://user:password@host:port?database=master, of a
//	                               SQL Server or a Babelfish
//	SQLLOCK_TEST_POSTGRES15_IMAGE  the container image, likewise for each engine; the default
//	                               is the official image
//	SQLLOCK_TEST_PROVIDER          env, docker or local: use only this way
//	SQLLOCK_TEST_ENGINES           engines, separated by commas: tests that run on several engines
//	                               run on no others
//	SQLLOCK_TEST_REQUIRE           engines that must be available, separated by commas, or "all"
//	SQLLOCK_CACHE                  where make deps unpacks servers
//	SQLLOCK_TEST_LONG              run the long versions of the tests, as make test-all does
//
// If no test begins or ends for minutes, the process ends and names the tests that hang.
//
// A TestMain that calls [Main] stops the servers and removes their files. Without it the servers
// stop all the same, and the next process that uses this package removes the files.
package servers
