package postgres

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Classify says what an error of this dialect means for what was asked. It goes by SQLSTATE where the server gave
// one, else by where the connection failed, and never by the message. Only with pgx is an error Transient: another
// driver may have had the statement sent twice.
func (d *Dialect) Classify(err error) dialect.Class {
	class := classify(err)
	if class == dialect.Transient && d.resends() {
		return dialect.Unknown
	}
	return class
}

// resends reports whether a statement may have been sent before, unseen. database/sql repeats it for
// driver.ErrBadConn, which pgx returns only for what it hasn't sent. lib/pq does so too where the connection ends
// before the reply came, and that may be after the commit: a refusal of the second attempt says nothing of the first.
func (d *Dialect) resends() bool {
	if d.db == nil {
		return false
	}
	_, isPgx := d.db.Driver().(*stdlib.Driver)
	return !isPgx
}

func classify(err error) dialect.Class {
	var answer interface{ SQLState() string }
	var refused *pgconn.ConnectError
	switch {
	case err == nil:
		return dialect.Unknown
	case errors.As(err, &answer):
		class := classifyState(answer.SQLState(), fatal(err))
		if class == dialect.Unknown && errors.As(err, &refused) {
			return dialect.Transient // whatever went wrong, it was before there was a connection
		}
		return class
	case refusedByClient(err):
		return dialect.Permanent
	case neverSent(err), errors.Is(err, engine.ErrBusy):
		return dialect.Transient
	}
	return dialect.Unknown
}

// fatal reports whether the server ended the session with this error. lib/pq doesn't hand such errors out.
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

// classifyState goes by the table in appendix A of PostgreSQL's manual. The server has rolled back whatever ended in
// an error, so nothing happened; but an error that ended the session may overtake the reply of a commit.
func classifyState(code string, fatal bool) dialect.Class {
	switch code {
	case "42P01", // undefined_table
		"42703": // undefined_column
		return dialect.NoSchema
	case "25006": // read_only_sql_transaction: a standby, or default_transaction_read_only
		return dialect.ReadOnly
	case "40003", // statement_completion_unknown
		"57P01", // admin_shutdown: may come between a commit and its reply
		"57P02": // crash_shutdown
		return dialect.Unknown
	case "08001", // sqlclient_unable_to_establish_sqlconnection
		"08004", // sqlserver_rejected_establishment_of_sqlconnection
		"25P03", // idle_in_transaction_session_timeout: sent while no statement ran
		"57P05", // idle_session_timeout: likewise
		"57P03", // cannot_connect_now: starting up or in recovery
		"57014", // query_canceled: statement_timeout, pg_cancel_backend
		"55P03", // lock_not_available: lock_timeout
		"26000": // invalid_sql_statement_name: a pooler changed servers; the driver prepares it again
		return dialect.Transient
	case "28000", "28P01", // a wrong user or password
		"3D000", // invalid_catalog_name: no such database
		"57P04": // database_dropped
		return dialect.Permanent
	}
	if len(code) != 5 {
		return dialect.Unknown
	}
	switch code[:2] {
	case "53", // insufficient_resources: 53300 too_many_connections, 53200 out_of_memory
		"40": // transaction_rollback: 40001 serialization_failure, 40P01 deadlock_detected
		return dialect.Transient
	case "08", // connection_exception: PgBouncer's 08P01 for all that it finds wrong
		"58", "XX": // system_error, internal_error: what other poolers say of a server that they lost
		return dialect.Unknown
	}
	if fatal {
		return dialect.Unknown
	}
	return dialect.Permanent
}

// refusedByClient reports errors of this side of the wire that no repetition mends.
func refusedByClient(err error) bool {
	var badURL *pgconn.ParseConfigError
	return errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) ||
		errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, engine.ErrDBClosed()) ||
		errors.As(err, &badURL)
}

// neverSent reports errors from before anything of the statement was on the wire.
func neverSent(err error) bool {
	var refused *pgconn.ConnectError
	var op *net.OpError
	return pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.As(err, &refused) ||
		(errors.As(err, &op) && op.Op == "dial")
}
