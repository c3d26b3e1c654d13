package mysql

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Error numbers that the statements themselves look out for.
const (
	erChanged          = 1020 // MariaDB: since the transaction's snapshot
	erDuplicateEntry   = 1062
	erTableDenied      = 1142
	erNoSuchTable      = 1146
	erLockWaitTimeout  = 1205
	erDeadlock         = 1213
	erUnknownStatement = 1243
	erNeedReprepare    = 1615
	erReadOnlyTx       = 1792
	erStatementTimeout = 1969 // MariaDB's max_statement_time
	erQueryTimeout     = 3024 // MySQL's max_execution_time
	erNoWait           = 3572
)

// errReadOnly is what Probe makes of a server that says of itself that it is read-only. A privileged user could write
// to it all the same, and so to a replica.
var errReadOnly = errors.New("this server is read-only")

// classes are the server's answers that are not Permanent. It has rolled back the statement whenever it answers with an
// error, so nothing happened, but for those that stop a statement from outside: they may come while it commits.
var classes = map[uint16]dialect.Class{
	erChanged:          dialect.Transient, // ER_CHECKREAD: MariaDB, the row has changed since the transaction's snapshot
	1040:               dialect.Transient, // ER_CON_COUNT_ERROR: too many connections
	1041:               dialect.Transient, // ER_OUT_OF_RESOURCES
	1047:               dialect.Transient, // ER_UNKNOWN_COM_ERROR: Galera, a node that isn't in the primary component
	1135:               dialect.Transient, // ER_CANT_CREATE_THREAD: for the connection
	1203:               dialect.Transient, // ER_TOO_MANY_USER_CONNECTIONS
	erLockWaitTimeout:  dialect.Transient, // somebody was at the row for innodb_lock_wait_timeout
	1206:               dialect.Transient, // ER_LOCK_TABLE_FULL
	erDeadlock:         dialect.Transient, // ER_LOCK_DEADLOCK; Galera and group replication: another node was faster
	erUnknownStatement: dialect.Transient, // a proxy has changed servers: prepared again at the next try
	1412:               dialect.Transient, // ER_TABLE_DEF_CHANGED: a migration ran
	1461:               dialect.Transient, // ER_MAX_PREPARED_STMT_COUNT_REACHED
	erNeedReprepare:    dialect.Transient,
	1637:               dialect.Transient, // ER_TOO_MANY_CONCURRENT_TRXS
	3101:               dialect.Transient, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: group replication, a conflict
	erNoWait:           dialect.Transient, // ER_LOCK_NOWAIT
	4031:               dialect.Transient, // ER_CLIENT_INTERACTION_TIMEOUT: the connection was closed while idle
	9001:               dialect.Transient, // ProxySQL: no server to send it to

	1030:               dialect.Unknown, // ER_GET_ERRNO: the storage engine failed, at whatever point
	1053:               dialect.Unknown, // ER_SERVER_SHUTDOWN
	1105:               dialect.Unknown, // ER_UNKNOWN_ERROR: what proxies say of a server that they lost
	1152:               dialect.Unknown, // ER_ABORTING_CONNECTION
	1158:               dialect.Unknown, // ER_NET_READ_ERROR
	1159:               dialect.Unknown, // ER_NET_READ_INTERRUPTED
	1160:               dialect.Unknown, // ER_NET_ERROR_ON_WRITE
	1161:               dialect.Unknown, // ER_NET_WRITE_INTERRUPTED
	1180:               dialect.Unknown, // ER_ERROR_DURING_COMMIT
	1184:               dialect.Unknown, // ER_NEW_ABORTING_CONNECTION
	1317:               dialect.Unknown, // ER_QUERY_INTERRUPTED: KILL QUERY
	1927:               dialect.Unknown, // ER_CONNECTION_KILLED: MariaDB; MaxScale: it lost the server
	erStatementTimeout: dialect.Unknown, // ER_STATEMENT_TIMEOUT: MariaDB's max_statement_time
	erQueryTimeout:     dialect.Unknown, // ER_QUERY_TIMEOUT: MySQL's max_execution_time
	3100:               dialect.Unknown, // ER_RUN_HOOK_ERROR: group or semi-synchronous replication, before or after the commit
	3169:               dialect.Unknown, // ER_SESSION_WAS_KILLED

	1054:          dialect.NoSchema, // ER_BAD_FIELD_ERROR
	erNoSuchTable: dialect.NoSchema,

	1036:         dialect.ReadOnly, // ER_OPEN_AS_READONLY
	1290:         dialect.ReadOnly, // ER_OPTION_PREVENTS_STATEMENT: read_only, super_read_only
	erReadOnlyTx: dialect.ReadOnly, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: transaction_read_only
	1836:         dialect.ReadOnly, // ER_READ_ONLY_MODE
	1874:         dialect.ReadOnly, // ER_INNODB_READ_ONLY
}

// Classify says what an error of this dialect means for what was asked. It goes by the server's number where there is
// one, else by where the connection failed, and never by the message.
func (d *Dialect) Classify(err error) dialect.Class {
	var answer *mysql.MySQLError
	var op *net.OpError
	switch {
	case err == nil, errors.As(err, new(partlyError)):
		return dialect.Unknown
	case errors.Is(err, errReadOnly):
		return dialect.ReadOnly
	case errors.Is(err, engine.ErrBusy), errors.Is(err, errNoRow), errors.Is(err, errRowPatience):
		return dialect.Transient
	case errors.As(err, &answer):
		return classifyNumber(answer.Number)
	case refusedByClient(err):
		return dialect.Permanent
	case errors.As(err, &op) && op.Op == "dial", // before there was a connection
		errors.Is(err, driver.ErrBadConn): // which the driver returns only for what it has not sent
		return dialect.Transient
	}
	return dialect.Unknown // mysql.ErrInvalidConn among them: the connection was lost before the reply came
}

func classifyNumber(number uint16) dialect.Class {
	class, listed := classes[number]
	switch {
	case listed:
		return class
	case number >= 9000 && number < 10_000: // ProxySQL's own
		return dialect.Unknown
	}
	return dialect.Permanent
}

// refusedByClient reports errors of this side of the wire that no repetition mends.
func refusedByClient(err error) bool {
	for _, known := range []error{
		dialect.ErrInvalid, dialect.ErrUnsupported, sql.ErrTxDone, sql.ErrConnDone, engine.ErrDBClosed(),
		mysql.ErrNoTLS, mysql.ErrCleartextPassword, mysql.ErrNativePassword, mysql.ErrOldPassword,
		mysql.ErrUnknownPlugin, mysql.ErrOldProtocol, mysql.ErrPktTooLarge,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
