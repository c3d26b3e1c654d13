package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
)

// Running processes of other versions use the same keys, so these must never change.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		kind kind
		name string
		want int64
	}{
		{sessionKind, "report/nightly", 7233859722916410059},
		{txKind, "report/nightly", -1487031349628988037},
		{sessionKind, "Report/nightly", -6975991693679931201},
	} {
		if got := c.kind.key(c.name); got != c.want {
			t.Errorf("the key of %s %q is %d, want %d", c.kind, c.name, got, c.want)
		}
	}
	keys, shared := arrays([]dialect.ServerLock{{Name: "a"}, {Name: "b", Shared: true}})
	want := fmt.Sprintf("{%d,%d}", sessionKind.key("a"), sessionKind.key("b"))
	if keys != want || shared != "{false,true}" {
		t.Errorf("arrays returned %s, %s; want %s, {false,true}", keys, shared, want)
	}
}

func TestApplicationName(t *testing.T) {
	for holder, want := range map[string]string{
		"": "", "app-1": "app-1", "a\x00b": "ab", "a\xffb": "ab",
		strings.Repeat("x", 63):                              strings.Repeat("x", 63),
		strings.Repeat("x", 64):                              strings.Repeat("x", 63),
		strings.Repeat("x", 62) + "äx":                       strings.Repeat("x", 62),
		strings.Repeat("x", 61) + "ä" + "x":                  strings.Repeat("x", 61) + "ä",
		strings.Repeat("x", 60) + "😀":                        strings.Repeat("x", 60),
		strings.Repeat("x", 59) + "😀" + "x":                  strings.Repeat("x", 59) + "😀",
		strings.Repeat("\xff", 10) + strings.Repeat("x", 60): strings.Repeat("x", 60),
	} {
		if got := applicationName(holder); got != want || len(got) > 63 || !utf8.ValidString(got) {
			t.Errorf("applicationName(%q) = %q, want %q", holder, got, want)
		}
	}
}

func TestIdleTimeout(t *testing.T) {
	for idle, want := range map[time.Duration]string{
		0: "", -1: "", 1: "1", time.Millisecond: "1", time.Millisecond + 1: "2", time.Minute: "60000",
		math.MaxInt64: "2147483647",
	} {
		if got := idleTimeout(idle); got != want {
			t.Errorf("idleTimeout(%s) = %q, want %q", idle, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, holder := range map[string][2]string{
		"app-1 (pid 4711, 10.0.0.7)": {"app-1", "10.0.0.7"},
		"app-1 (pid 4711)":           {"app-1", ""},
		"pid 4711, ::1":              {"", "::1"},
	} {
		if got := describe(holder[0], 4711, holder[1]); got != want {
			t.Errorf("describe(%q, 4711, %q) = %q, want %q", holder[0], holder[1], got, want)
		}
	}
}

// If another server process replies, the statement has run there. So the error must not look as if
// nothing had happened.
func TestAnotherProcessReplies(t *testing.T) {
	s := &session{pid: 4711}
	if err := s.same(4711); err != nil {
		t.Error(err)
	}
	err := s.same(4712)
	class := New(nil).Classify(fail("try", err))
	if err == nil || errors.Is(err, dialect.ErrUnsupported) || class != dialect.ClassUnknown {
		t.Errorf("another process replied: %v (class %s)", err, class)
	}
}

// fake is a driver that connects to nothing.
type fake struct{}

func (fake) Connect(context.Context) (driver.Conn, error) { return fake{}, nil }
func (fake) Driver() driver.Driver                        { return nil }
func (fake) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("nothing there") }

func (fake) Begin() (driver.Tx, error) { return nil, errors.New("nothing there") }
func (fake) Close() error              { return nil }

func TestSessionsOfAnotherDriver(t *testing.T) {
	db := sql.OpenDB(fake{})
	defer db.Close()
	d := New(db)
	for range 2 {
		_, err := d.OpenSession(t.Context(), dialect.SessionOptions{})
		if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "postgres.WithConnector") {
			t.Errorf("OpenSession: %v", err)
		}
	}
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d connections weren't returned to the pool", n)
	}
	_, err := New(db, WithConnector(fake{})).OpenSession(t.Context(), dialect.SessionOptions{})
	if err == nil || !strings.Contains(err.Error(), "nothing there") {
		t.Errorf("OpenSession: %v", err)
	}
}

func TestDeadlock(t *testing.T) {
	key := uint64(txKind.key("account/42"))
	cause := &pgconn.PgError{Severity: "ERROR", Code: "40P01", Message: "deadlock detected", Detail: fmt.Sprintf(
		"Process 1 waits for ExclusiveLock on advisory lock [5,%d,%d,1]; blocked by process 2.\n"+
			"Process 2 waits for ExclusiveLock on advisory lock [5,1,2,1]; blocked by process 1.",
		key>>32, key&0xffffffff)}
	err := deadlock("account/42", cause)
	want := `Process 1 waits for ExclusiveLock on lock "account/42"; blocked by process 2. ` +
		"Process 2 waits for ExclusiveLock on advisory lock [5,1,2,1]"
	if !errors.Is(err, dialect.ErrDeadlock) || !errors.Is(err, cause) || !strings.Contains(err.Error(), want) {
		t.Errorf("deadlock returned %v; want %q in it", err, want)
	}
	if err := deadlock("a", coded("40P01")); !errors.Is(err, dialect.ErrDeadlock) {
		t.Errorf("deadlock of another driver: %v", err)
	}
	for _, other := range []error{coded("55P03"), errors.New("deadlock detected")} {
		if err := deadlock("a", other); !errors.Is(err, other) || errors.Is(err, dialect.ErrDeadlock) {
			t.Errorf("deadlock of an error that is none: %v", err)
		}
	}
}
