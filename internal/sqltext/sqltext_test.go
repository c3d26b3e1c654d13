package sqltext_test

import (
	"strings"
	"testing"

	"github.com/sqllock/sqllock/internal/sqltext"
)

func TestSplit(t *testing.T) {
	pg, my, lite, ms := sqltext.PostgreSQL, sqltext.MySQL, sqltext.SQLite, sqltext.SQLServer
	for _, test := range []struct {
		syntax sqltext.Syntax
		text   string
		want   []string // the texts of the statements
	}{
		{pg, "", nil},
		{pg, "\ufeff \r\n;; -- nothing;\n/* no /* thing; */ ; */;", nil},
		{pg, "SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{pg, "SELECT ';', \";\", E'\\';', $$;$$, $a$;$$;$a$, $1; x$y$;z", []string{"SELECT ';', \";\", E'\\';', " +
			"$$;$$, $a$;$$;$a$, $1", "x$y$", "z"}},
		{pg, `SELECT 'a\'; x`, []string{`SELECT 'a\'`, "x"}},
		{
			pg, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1; END; x",
			[]string{
				"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1; END",
				"x",
			},
		},
		{pg, "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); x", []string{"CREATE RULE r AS ON " +
			"INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "x"}},
		{pg, "BEGIN; x; END;", []string{"BEGIN", "x", "END"}},
		{my, "-- a\n# b;\n/* c; */ ;--\n", nil},
		{my, "SELECT 5--1; x", []string{"SELECT 5--1", "x"}},
		{my, "/*!40101 SET NAMES utf8 */;", []string{"/*!40101 SET NAMES utf8 */"}},
		{my, "/*M!100100 SET a=1 */", []string{"/*M!100100 SET a=1 */"}},
		{my, "SELECT 'a\\';', `;`, \"\\\";\"; x", []string{"SELECT 'a\\';', `;`, \"\\\";\"", "x"}},
		{lite, "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; UPDATE a SET [;]=1; " +
			"END; x", []string{"CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; UPDATE " +
			"a SET [;]=1; END", "x"}},
		{lite, "/* open", nil},
		{lite, "SELECT 'open; x", []string{"SELECT 'open; x"}},
		{ms, "SELECT [;], N';' /* a /* b */ ; */", []string{"SELECT [;], N';' /* a /* b */ ; */"}},
	} {
		var got []string
		for _, s := range sqltext.Split(test.text, test.syntax) {
			got = append(got, test.text[s.Start:s.End])
		}
		if strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%s\nis %q\nwant %q", test.text, got, test.want)
		}
	}
	words := sqltext.Split("create unique index concurrently (a b) \"c\" 'd' on T", pg)[0].Words
	if got := strings.Join(words, " "); got != "CREATE UNIQUE INDEX CONCURRENTLY ON T" {
		t.Errorf("words are %s", got)
	}
}

func TestPlaces(t *testing.T) {
	const text = "a;\n é BEGIN\r\n;"
	if line, column := sqltext.Line(text, 7), sqltext.Column(text, 7); line != 2 || column != 4 {
		t.Errorf("%d:%d", line, column)
	}
	if got := sqltext.Blank(text, 4, 13); got != "a;\n        \r\n;" {
		t.Errorf("%q", got)
	}
}

// In any text the statements are within it and in order, and reading it ends.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"", "a;b", "'", "$a$", "/*", "E'\\", "\xff;\xff", "CREATE TRIGGER a BEGIN",
		"[", "`",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, syntax := range []sqltext.Syntax{sqltext.PostgreSQL, sqltext.MySQL, sqltext.SQLite, sqltext.SQLServer} {
			last := 0
			for _, s := range sqltext.Split(text, syntax) {
				if s.Start < last || s.End <= s.Start || s.End > len(text) {
					t.Fatalf("%q: a statement from %d to %d after %d", text, s.Start, s.End, last)
				}
				last = s.End
			}
		}
	})
}
