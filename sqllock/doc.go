// Package sqllock takes locks in the relational database that an application already runs.
//
// A lock is a row that names the lease of the process that holds it. One heartbeat per process
// keeps the lease alive, whatever the number of locks, and only the database's clock decides when
// it expires. When the process dies, its lease expires and another process can take the lock. Three
// things make that safe:
//
//   - Every acquisition has a fencing token ([Lock.Fence]) that is greater than all earlier tokens
//     of that name, so that a resource can refuse a late writer.
//   - The holder gives up first. [Lock.Context] ends before the lease can expire, counted from
//     before the last successful heartbeat was sent, whether or not the database can be reached.
//   - [Lock.Guard] ties the lock to the caller's own transaction. If it returns nil, nobody else
//     gets the lock before that transaction has ended, however long the process is paused in
//     between.
//
// Two more kinds of lock exist for cases that they fit better. The server holds a session lock
// ([Client.Session]) for a connection and releases it when the connection ends. A transaction lock
// ([Client.AcquireTx]) ends with the caller's own transaction. Whatever a server cannot do reliably
// is refused with [ErrUnsupported]; [Client.Check] reports what works.
//
// A program makes one [Client] with [New] and shares it:
//
//	db, err := sql.Open("pgx", url)
//	locks, err := sqllock.New(ctx, postgres.New(db), nil)
//	defer locks.Close(ctx)
//
//	err = locks.Do(ctx, "report/nightly", func(ctx context.Context, lock *sqllock.Lock) error {
//		tx, err := db.BeginTx(ctx, nil)
//		if err != nil {
//			return err
//		}
//		defer tx.Rollback()
//		// ... the work, in tx ...
//		if err := lock.Guard(ctx, tx); err != nil {
//			return err
//		}
//		return tx.Commit()
//	})
//
// [Client.DoTx] does all of that in one call.
//
// The engines are in github.com/sqllock/sqllock/dialect/...; this package imports no driver. Tests
// of programs that use sqllock need no database: see package
// [github.com/sqllock/sqllock/sqllock/sqllocktest].
//
// # Kinds of locks
//
//   - [Client.Acquire] takes an exclusive lock. [Client.AcquireAll] takes exclusive locks of
//     several names, all or none.
//   - [Client.RWLock] is a lock that many readers share or one writer holds alone.
//   - [Client.Semaphore] is a fixed number of permits, each held by one caller at a time.
//
// Three packages build on these:
//
//   - [github.com/sqllock/sqllock/sqllock/election] elects a leader, which hands over to a named
//     candidate in a deploy, or to a candidate of a higher priority.
//   - [github.com/sqllock/sqllock/sqllock/once] does the work for a key once and remembers its
//     outcome.
//   - [github.com/sqllock/sqllock/sqllock/quorum] takes locks in several independent databases at
//     once.
//
// Locks of different kinds are independent of each other, even under one name.
//
// Locks are not reentrant. A caller that asks again for a name that it holds waits for itself. If
// it passes a ctx that comes from that lock ([Lock.Context]), it gets an [ErrDeadlock] instead.
package sqllock
