package postgres

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Classify reports what an error of this dialect means for the request. It depends on the SQLSTATE
// if the server sent one, otherwise on where the connection failed, and never on the message. An
// error is Transient only with pgx: with another driver, database/sql may have sent the statement
// twice.
func (d *Dialect) Classify(err error) dialect.Class {
	class := classify(err)
	if class == dialect.ClassTransient && d.pool.source.resends() {
		return dialect.ClassUnknown
	}
	return class
}

func classify(err error) dialect.Class {
	var withState interface{ SQLState() string }
	var refused *pgconn.ConnectError
	switch {
	case err == nil:
		return dialect.ClassUnknown
	case errors.Is(err, errStatementMode):
		return dialect.ClassPermanent
	case errors.As(err, &withState):
		class := classifyState(withState.SQLState(), fatal(err))
		if class == dialect.ClassUnknown && errors.As(err, &refused) {
			return dialect.ClassTransient // the error came before there was a connection
		}
		return class
	case refusedByClient(err):
		return dialect.ClassPermanent
	case neverSent(err), errors.Is(err, engine.ErrBusy):
		return dialect.ClassTransient
	}
	return dialect.ClassUnknown
}

// fatal reports whether the server ended the session with this error. lib/pq doesn't return such
// errors.
func fatal(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// classifyState follows the table in appendix A of PostgreSQL's manual. The server has rolled back
// a statement that ended in an error, so nothing happened. But an error that ended the session may
// arrive instead of the reply to a commit that has succeeded.
func classifyState(code string, fatal bool) dialect.Class {
	switch code {
	case "42P01", // undefined_table
		"42703": // undefined_column
		return dialect.ClassNoSchema
	case "25006": // read_only_sql_transaction: a standby, or default_transaction_read_only
		return dialect.ClassReadOnly
	case "40003", // statement_completion_unknown
		"57P01", // admin_shutdown: may come between a commit and its reply
		"57P02": // crash_shutdown
		return dialect.ClassUnknown
	case "08001", // sqlclient_unable_to_establish_sqlconnection
		"08004", // sqlserver_rejected_establishment_of_sqlconnection
		"25P03", // idle_in_transaction_session_timeout: sent while no statement ran
		"57P05", // idle_session_timeout: likewise
		"57P03", // cannot_connect_now: starting up or in recovery
		"57014", // query_canceled: statement_timeout, pg_cancel_backend
		"55P03", // lock_not_available: lock_timeout
		"26000", // invalid_sql_statement_name: a pooler has switched servers; the driver prepares it again
		"42P05": // duplicate_prepared_statement: likewise; the next time it is sent unprepared
		return dialect.ClassTransient
	case "28000", "28P01", // a wrong user or password
		"3D000", // invalid_catalog_name: no such database
		"57P04": // database_dropped
		return dialect.ClassPermanent
	}
	if len(code) != 5 {
		return dialect.ClassUnknown
	}
	switch code[:2] {
	case "53", // insufficient_resources: 53300 too_many_connections, 53200 out_of_memory
		"40": // transaction_rollback: 40001 serialization_failure, 40P01 deadlock_detected
		return dialect.ClassTransient
	case "08", // connection_exception: PgBouncer sends 08P01 for every failure of its own
		"58", "XX": // system_error, internal_error: other poolers send these when they lose a server
		return dialect.ClassUnknown
	}
	if fatal {
		return dialect.ClassUnknown
	}
	return dialect.ClassPermanent
}

// refusedByClient reports whether err comes from this side of the connection and no repetition can
// help.
func refusedByClient(err error) bool {
	var badURL *pgconn.ParseConfigError
	return errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) ||
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, engine.ErrDBClosed()) ||
		errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, pgx.ErrTxCommitRollback) ||
		errors.As(err, &badURL)
}

// neverSent reports whether err came before anything of the statement was sent.
func neverSent(err error) bool {
	var refused *pgconn.ConnectError
	var op *net.OpError
	return pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.As(err, &refused) ||
		(errors.As(err, &op) && op.Op == "dial")
}
