// Package sqllock takes locks in the relational database that an application already runs.
//
// A lock is a row that names the lease of the process that holds it. The lease is kept alive by one heartbeat a
// process, whatever the number of locks, and timed by the database's clock alone; when the process dies, its lease
// runs out and the lock can be taken by another. Three things make that safe:
//
//   - Every acquisition has a fencing token ([Lock.Fence]) greater than all before it for that name, so that
//     whatever is written to can refuse a late writer.
//   - The holder gives up first: [Lock.Context] ends before the lease can run out, counted from before the last
//     successful heartbeat was sent, whether or not the database can be reached.
//   - [Lock.Guard] ties the lock to the caller's own transaction: if it answers nil, nobody else gets the lock
//     before that transaction has ended, however long the process is paused meanwhile.
//
// Two more kinds of lock are there for where they fit better: [Session] locks, which the server holds for a connection
// and lets go when that ends, and transaction locks ([Client.AcquireTx]), which end with the caller's own transaction.
// What can't be trusted in a place is refused with [ErrUnsupported]; [Client.Check] tells what can.
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
// The engines are in github.com/sqllock/sqllock/dialect/...; this package imports no driver. Tests of programs
// that use sqllock need no database: see package sqllocktest.
//
// Many may share a lock (Shared), or n hold one of its permits (Permits); Client.AcquireAll takes several names, all or none. On
// such locks stand an Election of a leader, work that is done once for a key (Client.Once, OnceTx, RunOccurrence), and a Quorum
// of several databases. A name serves one of them: plain and shared locks, or permits, or an election. The keys of Once, and
// the locks of a Quorum, are apart from the others of that name.
//
// Locks are not reentrant: a process that asks again for a name that it holds waits for itself, or gets an ErrDeadlock where the
// ctx that it asks with comes from that lock (Lock.Context).
package sqllock
