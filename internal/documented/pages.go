package documented

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Page is a Markdown file of the repository.
type Page struct {
	Path   string // relative to the root of the repository, with slashes
	Text   string
	Blocks []Block
}

// Block is a fenced code block of a page.
type Block struct {
	Page string // the page's Path
	Line int    // of its first line of code
	Lang string // what stands behind the opening fence
	Text string
}

var fence = regexp.MustCompile("^(\\s*)(```+)\\s*(\\S*)\\s*$")

// Pages returns all pages of the repository at root, in the order of their paths. Folders that hold
// no work of the project's own are left out.
func Pages(root string) (pages []Page, err error) {
	files := os.DirFS(root)
	err = fs.WalkDir(files, ".", func(path string, e fs.DirEntry, err error) error {
		switch name := e.Name(); {
		case err != nil:
			return err
		case e.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "build"):
			return fs.SkipDir
		case e.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(files, path)
		if err == nil {
			pages = append(pages, newPage(path, string(text)))
		}
		return err
	})
	return pages, err
}

// Guide returns those pages that tell users what to write: README.md and the pages in docs.
func Guide(pages []Page) []Page {
	return slices.DeleteFunc(slices.Clone(pages), func(p Page) bool {
		return p.Path != "README.md" && !strings.HasPrefix(p.Path, "docs/")
	})
}

func newPage(path, text string) Page {
	p := Page{Path: path, Text: text}
	var block *Block
	var mark, indent string
	n := 0
	for line := range strings.Lines(text) {
		n++
		found := fence.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case block == nil && found != nil:
			indent, mark = found[1], found[2]
			block = &Block{Page: path, Line: n + 1, Lang: found[3]}
		case block != nil && found != nil && found[2] == mark && found[3] == "":
			p.Blocks = append(p.Blocks, *block)
			block = nil
		case block != nil:
			block.Text += strings.TrimPrefix(line, indent)
		}
	}
	return p
}

// Prose returns the page's text without its code blocks, each line in its place.
func (p Page) Prose() string {
	lines := strings.Split(p.Text, "\n")
	for _, b := range p.Blocks {
		for i := range strings.Count(b.Text, "\n") + 2 { // with the fences
			lines[b.Line-2+i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// before matches what may stand before a command: variables, and the times of a crontab.
var before = regexp.MustCompile(`^\w+=|^[*@\d][\w*/,-]*$`)

// Commands returns the commands in a block of shell code that begin with the given name, each as
// its arguments, without that name. Blocks of the language console have a $ before each command,
// and the rest of them is output.
func (b Block) Commands(name string) (all [][]string) {
	text := strings.ReplaceAll(b.Text, "\\\n", " ")
	switch b.Lang {
	case "sh":
	case "console":
		var typed []string
		for line := range strings.Lines(text) {
			if command, found := strings.CutPrefix(line, "$ "); found {
				typed = append(typed, command)
			}
		}
		text = strings.Join(typed, "")
	default:
		return nil
	}
	for _, words := range split(text) {
		for i, w := range words {
			if w == name {
				all = append(all, words[i+1:])
			}
			if !before.MatchString(w) {
				break
			}
		}
	}
	return all
}

// split splits shell code into commands and these into words. It knows quotes, comments and what
// stands between commands, and nothing else of a shell's language.
func split(text string) (commands [][]string) {
	var words []string
	var word strings.Builder
	open, started, comment := rune(0), false, false
	endWord := func() {
		if started {
			words = append(words, word.String())
		}
		word.Reset()
		started = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for _, r := range text {
		switch {
		case comment && r != '\n':
		case open != 0 && r == open:
			open = 0
		case open != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			open, started = r, true
		case r == '#' && !started:
			comment = true
		case strings.ContainsRune("\n|;&()>", r):
			endCommand()
			comment = false
		case r == ' ' || r == '\t':
			endWord()
		default:
			word.WriteRune(r)
			started = true
		}
	}
	endCommand()
	return commands
}
