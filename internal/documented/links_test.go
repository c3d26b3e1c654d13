package documented

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} +(.*?) *$`)
	target  = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
)

// TestLinks checks that every link to another page, a file or a folder of the repository leads
// somewhere, and that every page in docs is linked from another one.
func TestLinks(t *testing.T) {
	pages := all(t)
	linked := make(map[string]bool)
	n := 0
	for _, p := range pages {
		for _, found := range link.FindAllStringSubmatch(p.Prose(), -1) {
			u, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s: %v", p.Path, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			n++
			to := p.Path
			if u.Path != "" {
				to = path.Join(path.Dir(p.Path), u.Path)
				linked[to] = true
			}
			if why := missing(pages, to, u.Fragment); why != "" {
				t.Errorf("%s links to %s: %s", p.Path, found[1], why)
			}
		}
	}
	if n < 100 {
		t.Errorf("found %d links; there are more, so the search is broken", n)
	}
	for _, p := range pages {
		if strings.HasPrefix(p.Path, "docs/") && !linked[p.Path] {
			t.Errorf("no page links to %s", p.Path)
		}
	}
}

// missing says why there is no such file, or no such heading in it, or returns "".
func missing(pages []Page, to, fragment string) string {
	if _, err := os.Stat(filepath.Join(root, to)); err != nil {
		return err.Error()
	}
	if fragment == "" {
		return ""
	}
	for _, p := range pages {
		if p.Path == to {
			if !anchors(p)[fragment] {
				return "the page has no such heading"
			}
			return ""
		}
	}
	return "it isn't a page, so it has no headings"
}

// anchors returns the names by which a link reaches a place in a page: those that forges derive
// from the headings, and those that the page sets itself.
func anchors(p Page) map[string]bool {
	names, count := make(map[string]bool), make(map[string]int)
	for line := range strings.Lines(p.Prose()) {
		for _, set := range target.FindAllStringSubmatch(line, -1) {
			names[set[1]] = true
		}
		found := heading.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if found == nil {
			continue
		}
		name := anchor(found[1])
		if n := count[name]; n > 0 {
			names[name+"-"+strconv.Itoa(n)] = true
		} else {
			names[name] = true
		}
		count[name]++
	}
	return names
}

// anchor returns the name that forges give a heading.
func anchor(heading string) string {
	heading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

// all returns all pages of the repository.
func all(t *testing.T) []Page {
	t.Helper()
	pages, err := Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestAnchor compares names of headings with those that forges give them.
func TestAnchor(t *testing.T) {
	for text, want := range map[string]string{
		"Who holds it?":                    "who-holds-it",
		"`ErrLost`: lock lost":             "errlost-lock-lost",
		"MySQL, and MariaDB":               "mysql-and-mariadb",
		"[QUORUM.md](../a.md) – what":      "quorummd--what",
		"held by …, whose lease has ended": "held-by--whose-lease-has-ended",
	} {
		if got := anchor(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestReadmeIsShort keeps the README a page that people read to its end.
func TestReadmeIsShort(t *testing.T) {
	for _, p := range all(t) {
		if n := strings.Count(p.Text, "\n"); p.Path == "README.md" && n > 100 {
			t.Errorf("README.md has %d lines; put what is new in a page in docs", n)
		}
	}
}

// TestMakeTargets checks that every `make …` of a page names a target of the Makefile.
func TestMakeTargets(t *testing.T) {
	targets := makeTargets(t)
	inline := regexp.MustCompile("`make ([a-z-]+)[^`]*`")
	n := 0
	check := func(p Page, name string) {
		n++
		if !slices.Contains(targets, name) {
			t.Errorf("%s has `make %s`, which is no target of the Makefile", p.Path, name)
		}
	}
	for _, p := range all(t) {
		if p.Path == "CHANGELOG.md" { // which speaks of the past
			continue
		}
		for _, b := range p.Blocks {
			for _, args := range b.Commands("make") {
				if len(args) > 0 {
					check(p, args[0])
				}
			}
		}
		for _, found := range inline.FindAllStringSubmatch(p.Prose(), -1) {
			check(p, found[1])
		}
	}
	if n < 20 {
		t.Errorf("found %d uses of make; there are more, so the search is broken", n)
	}
}

// TestCommands checks that commands are found in shell code.
func TestCommands(t *testing.T) {
	p := newPage("p.md", "```sh\n# sqllock no\nA=b sqllock run 'a b' \\\n  -w 1m -- ./x | sqllock ls   # here\n"+
		"0 3 * * * sqllock wait a\necho sqllock no\n```\n"+
		"```console\n$ sqllock show a\nsqllock is output\n```\n```go\nsqllock no\n```\n")
	var got []string
	for _, b := range p.Blocks {
		for _, args := range b.Commands("sqllock") {
			got = append(got, strings.Join(args, "+"))
		}
	}
	if want := "run+a b+-w+1m+--+./x;ls;wait+a;show+a"; strings.Join(got, ";") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ";"), want)
	}
	if p.Blocks[2].Line != 13 || strings.Contains(p.Prose(), "sqllock") {
		t.Errorf("block 3 is at line %d; the prose is %q", p.Blocks[2].Line, p.Prose())
	}
}
