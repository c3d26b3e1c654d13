// Package lock provides the lock under which one of many processes migrates a database, while the
// others wait and then find nothing to do. migrations.Run and the command sqllock-migrate take this
// lock themselves. This package is for programs that migrate with something else: a [Locker] is
// what goose expects, and [Take] and [Held.Release] enclose any other code.
//
//	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
//		goose.WithLocker(lock.New(postgres.New(db), nil)))
//
// The lock is a session lock if the server's session locks can be trusted, and otherwise a lease:
// see [Kind]. In both cases:
//
//   - The lock is released when its holder dies.
//   - A waiter polls, with no transaction and no snapshot open, so that it doesn't hold up a CREATE
//     INDEX CONCURRENTLY of the holder.
//   - A waiter learns which process it waits for.
//
// The package imports no migration library.
package lock
