package sqlserver

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Error numbers that the statements themselves look out for.
const (
	errDuplicateIndex = 2601
	errDuplicateKey   = 2627
	errDeadlock       = 1205
	errLockTimeout    = 1222
)

// classes are the server's answers that are not Permanent. It has rolled back the statement whenever it answers with an
// error, so nothing happened; but one that ended the connection may have come instead of a commit's answer.
var classes = map[int32]dialect.Class{
	601:            dialect.Transient, // a read without locks was overtaken by the rows that it read
	615:            dialect.Transient, // the database has a new id: it was restored or failed over
	701:            dialect.Transient, // out of memory
	983:            dialect.Transient, // an availability group has no primary at the moment
	1105:           dialect.Transient, // a filegroup is full
	1204:           dialect.Transient, // out of locks
	errDeadlock:    dialect.Transient, // and it was the victim
	errLockTimeout: dialect.Transient, // somebody was at the row for LOCK_TIMEOUT
	3960:           dialect.Transient, // SNAPSHOT: the row has changed since
	3961:           dialect.Transient, // SNAPSHOT: the table has
	4221:           dialect.Transient, // a secondary waits for row versions
	8645:           dialect.Transient, // no memory to run it in within a time
	9002:           dialect.Transient, // the log is full
	10928:          dialect.Transient, // Azure: too many requests
	10929:          dialect.Transient, // Azure: the same
	10936:          dialect.Transient, // Azure: the same, in an elastic pool
	17830:          dialect.Transient, // the login took too long
	18401:          dialect.Transient, // login refused: the server is being upgraded
	18451:          dialect.Transient, // login refused: the server is shutting down
	40501:          dialect.Transient, // Azure: the service is busy
	40613:          dialect.Transient, // Azure: the database is not available at the moment
	49918:          dialect.Transient, // Azure: not enough resources
	49919:          dialect.Transient, // Azure: the same
	49920:          dialect.Transient, // Azure: the same

	0:     dialect.Unknown, // the driver's: the server gave no reason, or has rolled the transaction back before
	596:   dialect.Unknown, // the session was killed
	3314:  dialect.Unknown, // undoing failed
	6005:  dialect.Unknown, // the server is shutting down
	40143: dialect.Unknown, // Azure: the service failed
	40197: dialect.Unknown, // Azure: the service failed, or is being failed over
	40540: dialect.Unknown, // Azure: the same
	// Babelfish's number for whatever it has no other for; this package makes no claim to know it.
	33557097: dialect.Unknown,

	207: dialect.NoSchema, // invalid column name
	208: dialect.NoSchema, // invalid object name

	976:  dialect.ReadOnly, // a secondary that isn't to be read
	978:  dialect.ReadOnly, // a secondary that is to be read by those who say so
	3906: dialect.ReadOnly, // the database is read-only, as a secondary is
}

// Severities: below 17 an error is somebody's mistake, up to 19 a lack of resources, and from 20 on it ends the
// connection.
const (
	noResources = 17
	fatal       = 20
)

// Classify says what an error of this dialect means for what was asked. It goes by the server's number and severity
// where there are any, else by where the connection failed, and never by the message.
func (d *Dialect) Classify(err error) dialect.Class {
	var answer answered
	var op *net.OpError
	switch {
	case err == nil:
		return dialect.Unknown
	case errors.Is(err, engine.ErrBusy), errors.Is(err, dialect.ErrDeadlock):
		return dialect.Transient
	case errors.Is(err, errSecondary):
		return dialect.ReadOnly
	case errors.As(err, &answer):
		var ended mssql.ServerError
		return classifyAnswer(answer, errors.As(err, &ended))
	case refusedByClient(err):
		return dialect.Permanent
	case errors.As(err, &op) && op.Op == "dial", // before there was a connection
		errors.Is(err, driver.ErrBadConn): // which the driver returns only for what it hasn't sent whole
		return dialect.Transient
	}
	return dialect.Unknown
}

// answered is an error that the server sent.
type answered interface {
	SQLErrorNumber() int32
	SQLErrorClass() uint8
}

// number is the server's error number, 0 if err isn't the server's.
func number(err error) int32 {
	var answer answered
	if errors.As(err, &answer) {
		return answer.SQLErrorNumber()
	}
	return 0
}

// isDuplicate tells whether another was faster to make the same row.
func isDuplicate(err error) bool {
	n := number(err)
	return n == errDuplicateKey || n == errDuplicateIndex
}

func classifyAnswer(answer answered, ended bool) dialect.Class {
	class, listed := classes[answer.SQLErrorNumber()]
	switch severity := answer.SQLErrorClass(); {
	case listed:
		return class
	case ended, severity >= fatal:
		return dialect.Unknown
	case severity >= noResources:
		return dialect.Transient
	}
	return dialect.Permanent
}

// refusedByClient reports errors of this side of the wire that no repetition mends.
func refusedByClient(err error) bool {
	return errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) ||
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, engine.ErrDBClosed())
}
