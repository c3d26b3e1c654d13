// Package migrations creates sqllock's tables and brings them up to date, with golang-migrate. A program that migrates
// when it starts calls
//
//	import pgmigrations "github.com/sqllock/sqllock/migrations/postgres"
//
//	err := migrations.Up(ctx, db, pgmigrations.Engine)
//
// with its own *sql.DB, which stays open. Any number of processes may do so at once: one migrates, the others wait and
// then find nothing to do. The command sqllock-migrate does the same by hand.
//
// An application's own migrations are Run's: the same for files of yours, with the version table that golang-migrate's command
// uses, under the lock of package lock.
//
// The version of sqllock's own tables is kept in the table sqllock_schema_migrations, in golang-migrate's format, so it never collides with
// the version of the application's own tables.
//
// Each engine is a folder here: an Engine, which names golang-migrate's driver for it, and the SQL files. On engines
// whose DDL is transactional (PostgreSQL, SQLite) a run is one transaction, with a savepoint for each migration: what
// fails or is killed half-way leaves the tables as they were, and never a dirty version. On MySQL and MariaDB, where
// DDL commits by itself, a file is one statement, and a run that is cut off in one leaves a dirty version: see
// DirtyError.
package migrations
