// Package migrations creates sqllock's tables and brings them up to date, with golang-migrate. A
// program that migrates when it starts calls [Up] with its own [sql.DB], which stays open:
//
//	import pgmigrations "github.com/sqllock/sqllock/migrations/postgres"
//
//	err := migrations.Up(ctx, db, pgmigrations.Engine)
//
// Any number of processes may do so at the same time. One of them migrates; the others wait and
// then find nothing to do. The command `sqllock-migrate own up` does the same by hand.
//
// # The application's own migrations
//
// [Run] applies an application's own migrations. It uses the same version table as golang-migrate's
// command, and holds the lock of package [github.com/sqllock/sqllock/migrations/lock].
//
// Where the engine's DDL is transactional, a migration and its version are applied in one
// transaction, so a migration that fails leaves nothing behind. If the migration has a statement
// that can't run in a transaction, or the engine's DDL commits by itself, a failure leaves the
// version dirty, as with golang-migrate; the [StatementError] says why. When ctx ends, the
// migration under way has Options.StopTimeout to finish.
//
// # sqllock's own tables
//
// The version of sqllock's own tables is kept in the table sqllock_schema_migrations, in
// golang-migrate's format. It never collides with the version of the application's own tables.
//
// Each engine has a package below this one. It contains an [Engine], which names golang-migrate's
// driver, and the SQL files:
//
//   - On engines whose DDL is transactional (PostgreSQL, SQLite, SQL Server), a run is one
//     transaction with a savepoint for each migration. A run that fails or is killed leaves the
//     tables as they were, and never a dirty version.
//   - On MySQL and MariaDB, DDL commits by itself. Each file is one statement, and a run that is
//     cut off inside a file leaves a dirty version: see [DirtyError].
package migrations
