package integration

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

// Probe refuses settings under which locks could be lost, or never be acquired. The error says what
// to change.
func TestMySQLProbeRefuses(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		readOnly := "transaction_read_only=1"
		if my.engine == "mariadb" {
			readOnly = "tx_read_only=1"
		}
		for _, c := range []struct {
			parameter, says string
			class           dialect.Class
			is              error
		}{
			{"autocommit=0", "autocommit", dialect.ClassPermanent, dialect.ErrInvalid},
			{"charset=latin1", "charset=utf8mb4", dialect.ClassPermanent, dialect.ErrInvalid},
			{"completion_type=CHAIN", "completion_type", dialect.ClassPermanent, dialect.ErrInvalid},
			{"sql_select_limit=1000", "sql_select_limit", dialect.ClassPermanent, dialect.ErrInvalid},
			{readOnly, "primary", dialect.ClassReadOnly, nil},
		} {
			my.refused(c.parameter, my.open(c.parameter), c.class, c.is, c.says)
		}
		if my.engine == "mariadb" {
			db := my.open("sql_mode='EMPTY_STRING_IS_NULL'")
			my.refused("empty is null", db, dialect.ClassPermanent, dialect.ErrInvalid, "sql_mode")
		}
		my.exec(my.db, "ALTER TABLE sqllock_leases ENGINE = MyISAM")
		my.refused("MyISAM", my.db, dialect.ClassPermanent, dialect.ErrUnsupported, "sqllock_leases is MyISAM")
		my.exec(my.db, "ALTER TABLE sqllock_leases ENGINE = InnoDB")
		server, err := my.d.Probe(t.Context())
		if err != nil || !strings.EqualFold(server.Product, my.engine) || server.Version == "" {
			t.Errorf("Probe returned %+v, %v; want the product %s and a version", server, err, my.engine)
		}
	})
}

// refused checks that Probe fails on db with an error of that class that is the error is, unless
// that is nil, and whose text contains says.
func (my *myBench) refused(what string, db *sql.DB, class dialect.Class, is error, says string) {
	my.Helper()
	d := mysql.New(db)
	_, err := d.Probe(my.Context())
	if err == nil || d.Classify(err) != class || is != nil && !errors.Is(err, is) ||
		!strings.Contains(err.Error(), says) {
		my.Errorf("Probe with %s: %v (class %s), want class %s, %v, and the text %q",
			what, err, d.Classify(err), class, is, says)
	}
}

// A replica is refused even if this user could write to it.
func TestMySQLProbeRefusesAReadOnlyServer(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			my.exec(my.db, "SET GLOBAL read_only = 1")
			my.refused("read_only", my.db, dialect.ClassReadOnly, nil, "primary")
			my.exec(my.db, "CREATE USER reader IDENTIFIED BY 'sqllock'")
			my.exec(my.db, "GRANT SELECT ON *.* TO reader")
			my.url = strings.Replace(server.URL, "root:", "reader:", 1)
			reader := my.open()
			if _,
				err := mysql.New(reader).Probe(t.Context()); mysql.New(reader).Classify(err) != dialect.ClassReadOnly {
				t.Errorf("Probe of a replica, by a user without write rights: %v; want class ReadOnly", err)
			}
			my.exec(my.db, "SET GLOBAL read_only = 0")
			my.refused("only the SELECT right", reader, dialect.ClassPermanent, nil, "INSERT, UPDATE and DELETE")
		})
	}
}
