// Package lock is the lock under which one of many processes migrates a database, while the others wait and then find
// nothing to do. migrations.Run and the command sqllock-migrate take it by themselves. This package is for programs that
// migrate with something else: a Locker is what goose wants, and Take and Release go around anything.
//
//	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithLocker(lock.New(postgres.New(db), nil)))
//
// It is a session lock where the server's can be trusted, else a lease lock: see Kind. Whichever it is, a holder that
// dies frees it; who waits polls, with no transaction and no snapshot open, so that CREATE INDEX CONCURRENTLY is not kept
// waiting by those who wait for it; and they are told for whom they wait.
//
// It links no migration library.
package lock
