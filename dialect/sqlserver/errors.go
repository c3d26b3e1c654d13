package sqlserver

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Error numbers that the code checks for.
const (
	errDuplicateIndex = 2601
	errDuplicateKey   = 2627
	errDeadlock       = 1205
	errLockTimeout    = 1222
)

// classes are the server's errors that are not Permanent. The server has rolled back the statement
// whenever it returns an error, so nothing happened. The exception is an error that ended the
// connection: it may have come instead of a commit's reply.
var classes = map[int32]dialect.Class{
	601:            dialect.ClassTransient, // the rows changed during a read without locks
	615:            dialect.ClassTransient, // the database has a new id: it was restored or failed over
	701:            dialect.ClassTransient, // out of memory
	983:            dialect.ClassTransient, // an availability group has no primary at the moment
	1105:           dialect.ClassTransient, // a filegroup is full
	1204:           dialect.ClassTransient, // out of locks
	errDeadlock:    dialect.ClassTransient, // this session was the victim
	errLockTimeout: dialect.ClassTransient, // another had the row locked for LOCK_TIMEOUT
	3960:           dialect.ClassTransient, // SNAPSHOT: the row has changed since
	3961:           dialect.ClassTransient, // SNAPSHOT: the table has changed since
	4221:           dialect.ClassTransient, // a secondary waits for row versions
	8645:           dialect.ClassTransient, // no memory to run the statement within a time
	9002:           dialect.ClassTransient, // the log is full
	10928:          dialect.ClassTransient, // Azure: too many requests
	10929:          dialect.ClassTransient, // Azure: the same
	10936:          dialect.ClassTransient, // Azure: the same, in an elastic pool
	17830:          dialect.ClassTransient, // the login took too long
	18401:          dialect.ClassTransient, // login refused: the server is being upgraded
	18451:          dialect.ClassTransient, // login refused: the server is shutting down
	40501:          dialect.ClassTransient, // Azure: the service is busy
	40613:          dialect.ClassTransient, // Azure: the database is not available at the moment
	49918:          dialect.ClassTransient, // Azure: not enough resources
	49919:          dialect.ClassTransient, // Azure: the same
	49920:          dialect.ClassTransient, // Azure: the same

	0:     dialect.ClassUnknown, // the driver's: no reason given, or already rolled back
	596:   dialect.ClassUnknown, // the session was killed
	3314:  dialect.ClassUnknown, // undoing failed
	6005:  dialect.ClassUnknown, // the server is shutting down
	40143: dialect.ClassUnknown, // Azure: the service failed
	40197: dialect.ClassUnknown, // Azure: the service failed, or is being failed over
	40540: dialect.ClassUnknown, // Azure: the same
	// Babelfish's number for everything without a number of its own; its cause is unknown.
	33557097: dialect.ClassUnknown,

	207: dialect.ClassNoSchema, // invalid column name
	208: dialect.ClassNoSchema, // invalid object name

	976:  dialect.ClassReadOnly, // a secondary that can't be read
	978:  dialect.ClassReadOnly, // a secondary that is only for read-only sessions
	3906: dialect.ClassReadOnly, // the database is read-only, as a secondary is
}

// Severities: an error below 17 is a mistake in the request, up to 19 a lack of resources, and from
// 20 on it ends the connection.
const (
	noResources = 17
	fatal       = 20
)

// Classify returns what an error of this dialect means for the request. It uses the server's error
// number and severity if there are any, and otherwise the point at which the connection failed. It
// never uses the message.
func (d *Dialect) Classify(err error) dialect.Class {
	var serverErr serverError
	var op *net.OpError
	switch {
	case err == nil:
		return dialect.ClassUnknown
	case errors.Is(err, engine.ErrBusy), errors.Is(err, dialect.ErrDeadlock):
		return dialect.ClassTransient
	case errors.Is(err, errSecondary):
		return dialect.ClassReadOnly
	case errors.As(err, &serverErr):
		var ended mssql.ServerError
		return classifyServer(serverErr, errors.As(err, &ended))
	case refusedByClient(err):
		return dialect.ClassPermanent
	case errors.As(err, &op) && op.Op == "dial", // before there was a connection
		// the driver returns it only for what it hasn't sent completely
		errors.Is(err, driver.ErrBadConn):
		return dialect.ClassTransient
	}
	return dialect.ClassUnknown
}

// serverError is an error that the server sent.
type serverError interface {
	SQLErrorNumber() int32
	SQLErrorClass() uint8
}

// number returns the server's error number, or 0 if err isn't the server's.
func number(err error) int32 {
	var serverErr serverError
	if errors.As(err, &serverErr) {
		return serverErr.SQLErrorNumber()
	}
	return 0
}

// isDuplicate reports whether another client was faster to insert the same row.
func isDuplicate(err error) bool {
	n := number(err)
	return n == errDuplicateKey || n == errDuplicateIndex
}

func classifyServer(serverErr serverError, ended bool) dialect.Class {
	class, listed := classes[serverErr.SQLErrorNumber()]
	switch severity := serverErr.SQLErrorClass(); {
	case listed:
		return class
	case ended, severity >= fatal:
		return dialect.ClassUnknown
	case severity >= noResources:
		return dialect.ClassTransient
	}
	return dialect.ClassPermanent
}

// refusedByClient reports whether err comes from this side of the connection, so that a retry
// doesn't help.
func refusedByClient(err error) bool {
	return errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) ||
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, engine.ErrDBClosed())
}
