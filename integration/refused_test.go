package integration

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// refusal is a database, or a pool, for which New must return an error.
type refusal struct {
	url  string
	pool string // what is wrong with the pool: see refuse
	want error
	text []string // parts of the error's text: the value and the rule, or what to do
}

// TestRefused checks that New refuses at once what can't serve locks, with an error that says what
// is wrong, and that it leaves nothing behind.
func TestRefused(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		good := database(t, s)
		p := start(t, setup{}, nil)
		refusals := map[string]refusal{
			"nil pool":    {good, "nil", sqllock.ErrInvalid, []string{"*sql.DB is nil"}},
			"closed pool": {good, "closed", nil, []string{"database is closed"}},
			"small pool":  {good, "one", sqllock.ErrInvalid, []string{"MaxOpenConns is 1", "at least 2"}},
			"no tables":   {s.Database(t), "", sqllock.ErrSchema, []string{"missing", "sqllock-migrate own up"}},
			"newer tables": {
				altered(t, s, "UPDATE sqllock_schema_migrations SET version = 99", "DELETE FROM sqllock_schema"),
				"", sqllock.ErrSchema,
				[]string{"version 99", "newer than the 8", "update its sqllock", "leave the tables as they are"},
			},
			"older tables": {
				altered(t, s, "UPDATE sqllock_schema_migrations SET version = 1"), "", sqllock.ErrSchema,
				[]string{"version 1", "needs 8", "sqllock-migrate own up"},
			},
			"dirty tables": {
				altered(t, s, "UPDATE sqllock_schema_migrations SET dirty = "+truth(s.Engine)), "", sqllock.ErrSchema,
				[]string{"failed half-way", "sqllock-migrate own force"},
			},
			"a table gone": {
				altered(t, s, "DROP VIEW sqllock_held", "DROP TABLE sqllock_leases"), "", sqllock.ErrSchema,
				[]string{"missing", "sqllock-migrate own up"},
			},
			"a column gone": {
				altered(t, s, "DROP VIEW sqllock_held", "ALTER TABLE sqllock_locks DROP COLUMN note"), "",
				sqllock.ErrSchema,
				[]string{"missing", "sqllock-migrate own up"},
			},
		}
		if parameter := readOnlyParameter[s.Engine]; parameter != "" {
			refusals["read-only session"] = readOnly(withParameter(good, parameter))
		}
		for name, r := range refusals {
			mustRefuse(t, p, name, r)
		}
		if r := must[refusedReport](p, "refuse", refuseArgs{URL: good}); !r.Accepted {
			t.Errorf("a good database was refused: %v", r.Err)
		}
	})
}

// truth returns the engine's SQL literal for true.
func truth(engine string) string {
	if engine == "sqlserver" {
		return "1"
	}
	return "TRUE"
}

// readOnlyParameter has the parameter of a URL that makes its sessions read-only. MariaDB knows
// MySQL's name for it only from 11.1 on, and SQL Server has no such setting.
var readOnlyParameter = map[string]string{
	"sqlite":     "mode=ro",
	"postgres15": "default_transaction_read_only=on", "postgres18": "default_transaction_read_only=on",
	"mysql": "transaction_read_only=1", "mariadb": "tx_read_only=1",
}

func readOnly(url string) refusal {
	return refusal{url, "", sqllock.ErrUnsupported, []string{"takes no writes", "primary"}}
}

// TestReplicaRefused checks that New refuses a hot standby of PostgreSQL, and a MySQL or MariaDB
// with read_only, which replicas have.
func TestReplicaRefused(t *testing.T) {
	private(t, []string{"postgres15", "mysql", "mariadb"}, func(t *testing.T, engine string) {
		p := start(t, setup{}, nil)
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		target := connect(t, server.URL)
		if target.Dialect.Name() == "postgres" {
			mustRefuse(t, p, "standby", readOnly(server.Standby(t).URL))
			return
		}
		u := parsed(t, server.URL)
		u.User = url.UserPassword("app", "secret")
		execute(t, target, "CREATE USER 'app'@'%' IDENTIFIED BY 'secret'",
			"GRANT ALL ON "+strings.TrimPrefix(u.Path, "/")+".* TO 'app'@'%'", "SET GLOBAL read_only = 1")
		mustRefuse(t, p, "read_only", readOnly(u.String()))
		if engine == "mysql" { // super_read_only stops administrators too
			execute(t, target, "SET GLOBAL super_read_only = 1")
			mustRefuse(t, p, "super_read_only", readOnly(server.URL))
		}
	})
}

// atOnce is how long a refusal may take on a busy machine. Refusals are not retried.
const atOnce = 5 * time.Second

func mustRefuse(t *testing.T, p *process, name string, r refusal) {
	t.Helper()
	report := must[refusedReport](p, "refuse", refuseArgs{URL: r.url, Pool: r.pool})
	if report.Left != "" {
		t.Errorf("%s: left behind: %s", name, report.Left)
	}
	if report.Accepted {
		t.Errorf("%s: New accepted it", name)
		return
	}
	t.Logf("%s: %v (%s)", name, report.Err, report.Took.Round(time.Millisecond))
	if r.want != nil && !errors.Is(report.Err, r.want) {
		t.Errorf("%s: %v; want %v", name, report.Err, r.want)
	}
	for _, text := range r.text {
		if !strings.Contains(report.Err.Error(), text) {
			t.Errorf("%s: the error doesn't contain %q: %v", name, text, report.Err)
		}
	}
	if report.Took > atOnce {
		t.Errorf("%s: the refusal took %s", name, report.Took)
	}
}

// altered returns the URL of a database that was good before the statements.
func altered(t *testing.T, s *servers.Server, statements ...string) string {
	t.Helper()
	url := database(t, s)
	execute(t, connect(t, url), statements...)
	return url
}

func parsed(t *testing.T, rawURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

type refuseArgs struct{ URL, Pool string }

type refusedReport struct {
	Accepted bool
	Err      *remoteError
	Took     time.Duration
	Left     string // what New left behind
}

var _ = handle("refuse", refuse)

// refuse runs in a worker without a Client.
func refuse(_ *worker, ctx context.Context, args refuseArgs) (any, error) {
	before := goleak.IgnoreCurrent()
	target, err := open.URL(args.URL)
	if err != nil {
		return nil, err
	}
	d := target.Dialect
	switch args.Pool {
	case "nil":
		d = newDialect(args.URL, nil)
	case "closed":
		_ = target.DB.Close()
	case "one":
		target.DB.SetMaxOpenConns(1)
	}
	began := time.Now()
	c, err := sqllock.New(ctx, d, nil)
	r := refusedReport{Accepted: err == nil, Err: remote(err), Took: time.Since(began)}
	if err == nil {
		if err := c.Close(ctx); err != nil {
			r.Left = err.Error()
		}
	}
	if err := cleared(target.DB, before); err != nil {
		r.Left += err.Error()
	}
	return r, nil
}
