package integration

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

// The whole suite once more on pools with other settings, on which nothing may depend.
func TestMySQLConformanceWithOtherSettings(t *testing.T) {
	settings := map[string][]string{
		"driver": {
			"clientFoundRows=true", "interpolateParams=true", "parseTime=true", "loc=Local", "time_zone='%2B05:00'", "sql_mode='ANSI_QUOTES'",
		},
		"read committed": {"transaction_isolation='READ-COMMITTED'"},
		"serializable":   {"transaction_isolation='SERIALIZABLE'"},
	}
	for _, engine := range []string{"mysql", "mariadb"} {
		for name, parameters := range settings {
			t.Run(engine+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := servers.Start(t, engine)
				dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
					h := harness(t, server)
					my := newMyBench(t, engine, database(t, server))
					h.DB = my.open(parameters...)
					h.Dialect = my.dialect(h.DB, parameters...)
					h.EndSessions = func(t *testing.T) { endSessions(t, connect(t, my.url)) }
					h.Open = func(*testing.T) *sql.DB { return my.open(parameters...) }
					return h
				})
			})
		}
	}
}

// What would lose locks, or serve none, is refused with words that say what to change.
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
			{"autocommit=0", "autocommit", dialect.Permanent, dialect.ErrInvalid},
			{"charset=latin1", "charset=utf8mb4", dialect.Permanent, dialect.ErrInvalid},
			{readOnly, "primary", dialect.ReadOnly, nil},
		} {
			my.refused(c.parameter, my.open(c.parameter), c.class, c.is, c.says)
		}
		my.exec(my.db, "ALTER TABLE sqllock_leases ENGINE = MyISAM")
		my.refused("MyISAM", my.db, dialect.Permanent, dialect.ErrUnsupported, "sqllock_leases is MyISAM")
		my.exec(my.db, "ALTER TABLE sqllock_leases ENGINE = InnoDB")
		if server, err := my.d.Probe(t.Context()); err != nil || !strings.EqualFold(server.Product, my.engine) || server.Version == "" {
			t.Errorf("found %+v, %v", server, err)
		}
	})
}

func (my *myBench) refused(what string, db *sql.DB, class dialect.Class, is error, says string) {
	my.Helper()
	d := mysql.New(db)
	_, err := d.Probe(my.Context())
	if err == nil || d.Classify(err) != class || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		my.Errorf("%s: %v (class %s), want class %s, %v, and the words %q", what, err, d.Classify(err), class, is, says)
	}
}

// A replica is refused although this user could write to it.
func TestMySQLProbeRefusesAReadOnlyServer(t *testing.T) {
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			my.exec(my.db, "SET GLOBAL read_only = 1")
			my.refused("read_only", my.db, dialect.ReadOnly, nil, "primary")
			my.exec(my.db, "CREATE USER reader IDENTIFIED BY 'sqllock'")
			my.exec(my.db, "GRANT SELECT ON *.* TO reader")
			my.url = strings.Replace(server.URL, "root:", "reader:", 1)
			reader := my.open()
			if _, err := mysql.New(reader).Probe(t.Context()); mysql.New(reader).Classify(err) != dialect.ReadOnly {
				t.Errorf("a reader on a replica: %v", err)
			}
			my.exec(my.db, "SET GLOBAL read_only = 0")
			my.refused("SELECT alone", reader, dialect.Permanent, nil, "INSERT, UPDATE and DELETE")
		})
	}
}
