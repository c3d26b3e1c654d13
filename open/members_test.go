package open_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/open"
)

func TestMember(t *testing.T) {
	for _, test := range []struct{ url, address, want string }{
		{"postgres://u:p@a:1,b/d?sslmode=disable", "c:2", "postgres://u:p@c:2/d?sslmode=disable"},
		{"postgres://a/d?target_session_attrs=read-write&x=1", "b", "postgres://b/d?x=1"},
		{"postgres://a?target_session_attrs=primary", "[::1]:5", "postgres://[::1]:5"},
		{"mysql://u:p%40@a/d", "b:3307", "mysql://u:p%40@b:3307/d"},
		{"mysql://u:p/@@tcp(a:3306)/d?tls=true", "b:3307", "mysql://u:p/@@tcp(b:3307)/d?tls=true"},
		{"sqlserver://u:p@a:1433?database=d", "b", "sqlserver://u:p@b?database=d"},
	} {
		got, err := open.Member(test.url, test.address)
		if err != nil || got != test.want {
			t.Errorf("%s on %s is %q, %v; want %q", test.url, test.address, got, err, test.want)
		}
	}
	for _, test := range []struct{ url, address string }{
		{"postgres://u:p@a/d", "b/e"},
		{"postgres://u:p@a/d", "x@b"},
		{"postgres://u:p@a/d", ""},
		{"postgres://u:p@a/d", "b,c"},
		{"sqlite:///f.db", "b"},
		{"nosuch://a", "b"},
		{"mysql://u:p@tcp(a", "b"},
	} {
		if got, err := open.Member(test.url, test.address); !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("%s on %q is %q, %v; want ErrInvalid", test.url, test.address, got, err)
		}
	}
}

func TestMembers(t *testing.T) {
	for url, want := range map[string][]string{
		"postgres://u:p,q@a:1,b/d?x=c,d": {"a:1", "b"},
		"postgres://u:p@a:1/d?x=c,d":     nil,
		"mysql://u:p@tcp(a:1)/d":         nil,
		"sqlite:///a,b.db":               nil,
	} {
		if got := open.Members(url); !slices.Equal(got, want) {
			t.Errorf("%s names the servers %q, want %q", url, got, want)
		}
	}
}
