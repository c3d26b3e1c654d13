// Package integration tests sqllock on real servers, in separate processes that are killed, frozen
// and cut off. Its servers come from integration/servers. This is its index.
//
// # Locks
//
//   - waiting_test.go: Fair is first come, first served across processes; a waiter that dies blocks
//     no other.
//   - rwlock_test.go: readers hold the lock together; a writer holds it alone and does not starve.
//   - semaphore_test.go: no more than n hold a permit; callers may pass different n.
//   - sets_test.go: sets of locks whose names cross never wait for each other.
//   - tx_test.go, tx_elsewhere_test.go: transaction locks; a guard in another database's
//     transaction.
//   - session_test.go, session_contention_test.go: session locks, and what ends them.
//   - election_test.go: one leader at a time, through kills, restarts and deploys.
//   - once_test.go, once_dotx_test.go, consumer_test.go: work is done once, and commits together
//     with its outcome.
//   - quorum_test.go: a majority of databases of several engines.
//   - fences_test.go: fences grow through release, restart and failover.
//   - promises_test.go: the table in docs/engines.md of which promise holds for which kind of lock.
//
// # Faults
//
//   - crash_holder_test.go: the holder is killed, or frozen and resumed.
//   - crash_database_test.go: the database is killed, or frozen.
//   - crash_reply_test.go: the reply to each statement is lost.
//   - crash_cancel_test.go: callers' ctxs end at random moments.
//   - crash_contention_test.go: processes are killed, or frozen and resumed, under contention.
//   - deadlock_test.go: circles of waiting processes are found, and nothing else is taken for one.
//   - histories_test.go, history_*_test.go: recorded histories are checked for linearizability, and
//     each check finds a broken dialect.
//   - heartbeat_test.go: a thousand locks cost one heartbeat.
//
// # Engines
//
//   - conformance_test.go: package dialecttest on every engine.
//   - settings_test.go: the same under every server setting that changes the meaning of statements.
//   - subqueries_test.go: no decisive condition stands in a subquery alone.
//   - postgres_*_test.go, mysql_*_test.go, sqlite_*_test.go, galera_*_test.go: the ways of one
//     product: costs in statements, plans, sessions, notifications, probes.
//   - tidb_test.go: the statements for TiDB, on MySQL.
//   - pgbouncer_test.go, pools_test.go: poolers, and pools that are small or exhausted.
//   - refused_test.go: setups that cannot work are refused with the reason.
//
// # Migrations
//
//   - migrate_test.go, migrate_apply_test.go: applying, reverting, stopping.
//   - migrate_lock_test.go: twenty processes that migrate at once.
//   - migrate_schema_test.go: the SQL that the command prints makes tables that work.
//   - migrate_cli_test.go, migrate_input_test.go, migrate_history_test.go: the command, its input,
//     its history.
//
// # The command sqllock
//
//   - cli_test.go: run, ls, show, wait, break, doctor; a server that is frozen under a running
//     child; what guard-sql and grants print.
//   - page_test.go: the page of serve in a real browser, with and without JavaScript.
//   - held_view_test.go: the view sqllock_held, read as the role reader.
//   - foreign_test.go: ten replicas of another migration tool under run.
//   - image_test.go, deploy_test.go: the container image; the units, manifests and command lines in
//     deploy.
//
// # The documentation
//
//   - documented_test.go: the programs and command lines of the pages run.
//
// # Metrics
//
//   - healthy_test.go: Healthy finds out that a heartbeat would fail.
//   - alerts_test.go: the alert rules of adapters/prometheus fire when they should, and only then;
//     the expressions of its board are valid.
//
// # Words
//
// A worker is a process of this test binary that takes commands (worker_test.go, commands_test.go).
// A ledger is a table in which overlapping work shows (ledger_test.go); ledgerCheck searches it for
// overlaps. A faultDialect runs code around each call of a dialect. stepTimeout bounds how long a
// test waits for an event that must come; it is no measurement.
package integration
