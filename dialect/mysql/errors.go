package mysql

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Error numbers that the code checks for.
const (
	erChanged          = 1020 // MariaDB: changed since the snapshot
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

// errReadOnly is Probe's error for a server that says that it is read-only. A privileged user could
// still write to it, and so to a replica.
var errReadOnly = errors.New("this server is read-only")

// classes are the server's errors that are not Permanent. The server has rolled back the statement
// whenever it returns an error, so nothing happened. The exceptions are errors that stop a
// statement from outside: they may come while it commits.
var classes = map[uint16]dialect.Class{
	erChanged:          dialect.ClassTransient, // ER_CHECKREAD of MariaDB: changed since the snapshot
	1040:               dialect.ClassTransient, // ER_CON_COUNT_ERROR: too many connections
	1041:               dialect.ClassTransient, // ER_OUT_OF_RESOURCES
	1047:               dialect.ClassTransient, // ER_UNKNOWN_COM_ERROR: Galera, no primary component
	1135:               dialect.ClassTransient, // ER_CANT_CREATE_THREAD: for the connection
	1203:               dialect.ClassTransient, // ER_TOO_MANY_USER_CONNECTIONS
	erLockWaitTimeout:  dialect.ClassTransient, // the row was locked for innodb_lock_wait_timeout
	1206:               dialect.ClassTransient, // ER_LOCK_TABLE_FULL
	erDeadlock:         dialect.ClassTransient, // ER_LOCK_DEADLOCK; clusters: a node was faster
	erUnknownStatement: dialect.ClassTransient, // a proxy changed servers: prepared again
	1412:               dialect.ClassTransient, // ER_TABLE_DEF_CHANGED: a migration ran
	1461:               dialect.ClassTransient, // ER_MAX_PREPARED_STMT_COUNT_REACHED
	erNeedReprepare:    dialect.ClassTransient,
	1637:               dialect.ClassTransient, // ER_TOO_MANY_CONCURRENT_TRXS
	3101:               dialect.ClassTransient, // group replication: a conflict at the commit
	erNoWait:           dialect.ClassTransient, // ER_LOCK_NOWAIT
	4031:               dialect.ClassTransient, // ER_CLIENT_INTERACTION_TIMEOUT: closed while idle

	1030:               dialect.ClassUnknown, // ER_GET_ERRNO: the storage engine failed
	1053:               dialect.ClassUnknown, // ER_SERVER_SHUTDOWN
	1105:               dialect.ClassUnknown, // ER_UNKNOWN_ERROR: from proxies, a lost server
	1152:               dialect.ClassUnknown, // ER_ABORTING_CONNECTION
	1158:               dialect.ClassUnknown, // ER_NET_READ_ERROR
	1159:               dialect.ClassUnknown, // ER_NET_READ_INTERRUPTED
	1160:               dialect.ClassUnknown, // ER_NET_ERROR_ON_WRITE
	1161:               dialect.ClassUnknown, // ER_NET_WRITE_INTERRUPTED
	1180:               dialect.ClassUnknown, // ER_ERROR_DURING_COMMIT
	1184:               dialect.ClassUnknown, // ER_NEW_ABORTING_CONNECTION
	1317:               dialect.ClassUnknown, // ER_QUERY_INTERRUPTED: KILL QUERY
	1927:               dialect.ClassUnknown, // ER_CONNECTION_KILLED; MaxScale: server lost
	erStatementTimeout: dialect.ClassUnknown, // ER_STATEMENT_TIMEOUT: MariaDB's max_statement_time
	erQueryTimeout:     dialect.ClassUnknown, // ER_QUERY_TIMEOUT: MySQL's max_execution_time
	3100:               dialect.ClassUnknown, // ER_RUN_HOOK_ERROR: replication, around the commit
	3032:               dialect.ClassUnknown, // ER_SERVER_OFFLINE_MODE: also a member that left its group
	3169:               dialect.ClassUnknown, // ER_SESSION_WAS_KILLED

	1054:          dialect.ClassNoSchema, // ER_BAD_FIELD_ERROR
	erNoSuchTable: dialect.ClassNoSchema,

	1036:         dialect.ClassReadOnly, // ER_OPEN_AS_READONLY
	1290:         dialect.ClassReadOnly, // ER_OPTION_PREVENTS_STATEMENT: read_only, super_read_only
	erReadOnlyTx: dialect.ClassReadOnly, // transaction_read_only is on
	1836:         dialect.ClassReadOnly, // ER_READ_ONLY_MODE
	1874:         dialect.ClassReadOnly, // ER_INNODB_READ_ONLY
}

// product identifies the maker of error numbers that aren't MySQL's, or that mean something else.
type product int

const (
	plain  product = iota // MySQL, MariaDB and their relatives, perhaps behind ProxySQL
	tidb                  // its numbers are in pkg/errno
	vitess                // vtgate's are in go/mysql/sqlerror
	products
)

// classesOf are the products' own classes. ProxySQL and TiDB use the same numbers with different
// meanings.
var classesOf = [products]map[uint16]dialect.Class{
	plain: {
		9001: dialect.ClassTransient, // ProxySQL: no server took it in time; nothing sent
		9002: dialect.ClassTransient, // ProxySQL: the same, after the maximum number of tries
		9003: dialect.ClassPermanent, // ProxySQL: an unknown command
		9004: dialect.ClassTransient, // ProxySQL: the server was offline before anything was sent
		9006: dialect.ClassTransient, // ProxySQL: this connection is bound to another group of servers
	},
	tidb: {
		8002: dialect.ClassTransient, // ErrForUpdateCantRetry: a conflict, rolled back
		8005: dialect.ClassTransient, // ErrWriteConflictInTiDB: the same
		8020: dialect.ClassTransient, // ErrTableLocked: by LOCK TABLES
		8022: dialect.ClassTransient, // ErrTxnRetryable: the commit failed and was rolled back
		8027: dialect.ClassTransient, // ErrInfoSchemaExpired: outdated schema, commit refused
		8028: dialect.ClassTransient, // ErrInfoSchemaChanged: a migration ran meanwhile; commit refused
		8111: dialect.ClassTransient, // ErrPreparedStmtNotFound: prepared again at the next try
		8113: dialect.ClassTransient, // ErrSchemaChanged: since the statement was prepared
		8175: dialect.ClassUnknown,   // ErrMemoryExceedForQuery: it was stopped
		8176: dialect.ClassUnknown,   // ErrMemoryExceedForInstance: it was stopped
		8229: dialect.ClassTransient, // ErrLockExpire: the transaction was too slow, and rolled back
		8252: dialect.ClassTransient, // ErrResourceGroupThrottled
		8253: dialect.ClassUnknown,   // ErrResourceGroupQueryRunawayInterrupted: it was stopped
		9001: dialect.ClassUnknown,   // ErrPDServerTimeout: at an unknown point, perhaps in the commit
		9002: dialect.ClassUnknown,   // ErrTiKVServerTimeout: the same
		9003: dialect.ClassUnknown,   // ErrTiKVServerBusy: the same
		9004: dialect.ClassUnknown,   // ErrResolveLockTimeout: the same
		9005: dialect.ClassUnknown,   // ErrRegionUnavailable: the same
		9006: dialect.ClassTransient, // ErrGCTooEarly: the transaction's snapshot is gone
		9007: dialect.ClassTransient, // ErrWriteConflict: another was faster, rolled back
		9008: dialect.ClassUnknown,   // ErrTiKVStoreLimit
		9010: dialect.ClassUnknown,   // ErrTiKVStaleCommand
		9011: dialect.ClassUnknown,   // ErrTiKVMaxTimestampNotSynced
	},
	vitess: {
		1047: dialect.ClassUnknown, // NoSuchSession: vtgate has lost the transaction
		1815: dialect.ClassUnknown, // ERInternalError: INTERNAL of any of its servers
		3168: dialect.ClassUnknown, // ServerNotAvailable
	},
}

// Classify returns what an error of this dialect means for the request. It uses the server's error
// number if there is one, and otherwise the point at which the connection failed. It never uses the
// message.
func (d *Dialect) Classify(err error) dialect.Class {
	var serverErr *mysql.MySQLError
	var op *net.OpError
	switch {
	case err == nil, errors.As(err, new(partlyError)):
		return dialect.ClassUnknown
	case errors.Is(err, errReadOnly):
		return dialect.ClassReadOnly
	case errors.Is(err, engine.ErrBusy), errors.Is(err, errNoRow), errors.Is(err, errRowTimeout):
		return dialect.ClassTransient
	case errors.As(err, &serverErr):
		return d.classifyNumber(serverErr.Number)
	case refusedByClient(err):
		return dialect.ClassPermanent
	case errors.As(err, &op) && op.Op == "dial", // before there was a connection
		errors.Is(err, driver.ErrBadConn): // the driver returns it only for what it has not sent
		return dialect.ClassTransient
	}
	return dialect.ClassUnknown // also mysql.ErrInvalidConn: the connection was lost before the reply
}

// classifyNumber classifies by the server's product. Before that is known, it returns Unknown where
// the products disagree.
func (d *Dialect) classifyNumber(number uint16) dialect.Class {
	if known := d.server.Load(); known != nil {
		return known.product.classify(number)
	}
	class := plain.classify(number)
	for other := range products {
		if other.classify(number) != class {
			return dialect.ClassUnknown
		}
	}
	return class
}

func (p product) classify(number uint16) dialect.Class {
	if class, listed := classesOf[p][number]; listed {
		return class
	}
	class, listed := classes[number]
	switch {
	case listed:
		return class
	case p != vitess && number >= 9000 && number < 10_000: // ProxySQL's or TiDB's own
		return dialect.ClassUnknown
	}
	return dialect.ClassPermanent
}

// refusedByClient reports whether err comes from this side of the connection, so that a retry
// doesn't help.
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
