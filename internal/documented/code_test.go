package documented

import (
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// known are the packages that code on the pages uses without importing them, by the names that it
// uses for them.
var known = map[string]string{
	"context": "context", "embed": "embed", "errors": "errors", "fmt": "fmt", "log": "log", "os": "os",
	"slog": "log/slog", "sql": "database/sql", "sync": "sync", "time": "time",

	"fnv": "hash/fnv", "http": "net/http",

	"gocron":     "github.com/go-co-op/gocron/v2",
	"pgx":        "github.com/jackc/pgx/v5",
	"pgxpool":    "github.com/jackc/pgx/v5/pgxpool",
	"prometheus": "github.com/prometheus/client_golang/prometheus",
	"stdlib":     "github.com/jackc/pgx/v5/stdlib",

	"gocronlock":       module + "adapters/gocron",
	"otellock":         module + "adapters/otel",
	"prometheuslock":   module + "adapters/prometheus",
	"dialect":          module + "dialect",
	"mysql":            module + "dialect/mysql",
	"postgres":         module + "dialect/postgres",
	"sqlite":           module + "dialect/sqlite",
	"sqlserver":        module + "dialect/sqlserver",
	"lock":             module + "migrations/lock",
	"migrations":       module + "migrations",
	"mysqlmigrations":  module + "migrations/mysql",
	"pgmigrations":     module + "migrations/postgres",
	"sqlitemigrations": module + "migrations/sqlite",
	"open":             module + "open",
	"sqllock":          module + "sqllock",
	"election":         module + "sqllock/election",
	"once":             module + "sqllock/once",
	"quorum":           module + "sqllock/quorum",
	"sqllocktest":      module + "sqllock/sqllocktest",
}

const module = "github.com/sqllock/sqllock/"

// given are the parameters of the function whose body the code on a page is: what every program
// that takes locks has.
const given = `ctx context.Context, db *sql.DB, pool *pgxpool.Pool, locks, a, b, c *sqllock.Client,
	lock *sqllock.Lock, tx *sql.Tx, scheduled time.Time, err error`

// functions stand for the application's own.
const functions = `
func work(ctx context.Context, args ...any) error         { panic("") }
func apply(ctx context.Context) ([]byte, error)           { panic("") }
func send(context.Context, *sqllock.Lock) ([]byte, error) { panic("") }
func pay(context.Context, *sqllock.Lock) error            { panic("") }
func lead(ctx context.Context, term *election.Term) error { panic("") }
`

// TestGoCode checks that the Go code on the pages is formatted, and compiles. Code without a
// package clause is taken as the body of a function, or as declarations. Code that uses a library
// that isn't a requirement of this module must be an excerpt of a file to which its page links.
func TestGoCode(t *testing.T) {
	blocks := goBlocks(t)
	set := token.NewFileSet()
	exports := exported(t, blocks)
	imported := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		file, found := exports[path]
		if !found {
			return nil, fmt.Errorf("%s isn't a package that the pages may use", path)
		}
		return os.Open(file)
	})
	for _, b := range blocks {
		if err := compile(set, imported, b); err != nil {
			t.Error(err)
		} else if formatted, err := format.Source([]byte(b.Text)); err != nil || string(formatted) != b.Text {
			t.Errorf("%s:%d is not as gofmt writes it (%v):\n%s", b.Page, b.Line, err, formatted)
		}
	}
	if len(blocks) < 20 {
		t.Errorf("found %d blocks; there are more, so the search is broken", len(blocks))
	}
	if compile(set, imported, Block{Text: "locks.Obtain(ctx)"}) == nil ||
		compile(set, imported, Block{Text: "lock, err := locks.Acquire(ctx, 42)"}) == nil {
		t.Error("wrong code isn't noticed")
	}
}

// goBlocks returns the blocks of Go code that aren't excerpts of files.
func goBlocks(t *testing.T) (blocks []Block) {
	t.Helper()
	excerpts := 0
	for _, p := range all(t) {
		files := linkedFiles(t, p)
		for _, b := range p.Blocks {
			switch {
			case b.Lang != "go":
			case isExcerpt(b, files):
				excerpts++
			default:
				blocks = append(blocks, b)
			}
		}
	}
	if excerpts < 5 {
		t.Errorf("found %d excerpts; there are more, so the search is broken", excerpts)
	}
	return blocks
}

// linkedFiles returns the texts of the Go files to which a page links.
func linkedFiles(t *testing.T, p Page) (texts []string) {
	t.Helper()
	for _, found := range link.FindAllStringSubmatch(p.Prose(), -1) {
		path, _, _ := strings.Cut(found[1], "#")
		if filepath.Ext(path) != ".go" || strings.Contains(path, "://") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.Dir(p.Path), path))
		if err != nil {
			t.Error(err) // TestLinks names the link
			continue
		}
		texts = append(texts, string(text))
	}
	return texts
}

func isExcerpt(b Block, files []string) bool {
	return slices.ContainsFunc(files, func(text string) bool { return strings.Contains(text, b.Text) })
}

// exported returns the files with the compiler's export data of the packages that the blocks need,
// by import path.
func exported(t *testing.T, blocks []Block) map[string]string {
	t.Helper()
	needed := make(map[string]bool)
	for path := range maps.Values(known) {
		needed[path] = true
	}
	for _, b := range blocks {
		file, err := parser.ParseFile(token.NewFileSet(), b.Page, b.Text, parser.ImportsOnly)
		if err != nil {
			continue // without a package clause
		}
		for _, spec := range file.Imports {
			needed[strings.Trim(spec.Path.Value, `"`)] = true
		}
	}
	list := exec.CommandContext(t.Context(), "go", slices.Concat(
		[]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "--"},
		slices.Sorted(maps.Keys(needed)))...)
	list.Dir, list.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		t.Fatalf("go list: %v: %s", err, failed.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	return exports
}

// compile checks the types of a block. It allows variables and imports that aren't used, since a
// page shows only the lines that matter.
func compile(set *token.FileSet, imported types.Importer, b Block) error {
	file, err := parse(set, b)
	if err != nil {
		return err
	}
	files := []*ast.File{file}
	if !strings.HasPrefix(b.Text, "package ") {
		more, err := parser.ParseFile(set, "functions.go", header("")+functions, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, more)
	}
	var errs []error
	config := types.Config{Importer: imported, Error: func(err error) {
		if text := err.Error(); !strings.Contains(text, "declared and not used") &&
			!strings.Contains(text, "imported and not used") && !strings.Contains(text, "imported as") {
			errs = append(errs, err)
		}
	}}
	_, _ = config.Check("page", set, files, nil) // its error is the first of errs, or one that is allowed
	return errors.Join(errs...)
}

// header returns a package clause and the imports of the known packages, but not of those that the
// code imports itself.
func header(code string) string {
	var b strings.Builder
	b.WriteString("package page\n")
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !strings.Contains(code, strconv.Quote(known[name])) {
			fmt.Fprintf(&b, "import %s %q\n", name, known[name])
		}
	}
	return b.String()
}

// parse parses a block: as a file, as declarations, or as the body of a function.
func parse(set *token.FileSet, b Block) (*ast.File, error) {
	name := fmt.Sprintf("%s:%d", b.Page, b.Line)
	if strings.HasPrefix(b.Text, "package ") {
		return parser.ParseFile(set, name, b.Text, parser.SkipObjectResolution)
	}
	declarations := header(b.Text) + "//line " + name + "\n" + b.Text
	file, err := parser.ParseFile(set, "", declarations, parser.SkipObjectResolution)
	if err == nil {
		return file, nil
	}
	parameters := given
	if strings.Contains(b.Text, "pgx.Tx") {
		parameters = strings.Replace(given, "*sql.Tx", "pgx.Tx", 1)
	}
	body := header(b.Text) + "func _(" + parameters + ") error { {\n//line " + name + "\n" + b.Text +
		"\n}\nreturn nil\n}\n"
	return parser.ParseFile(set, "", body, parser.SkipObjectResolution)
}
