package sqltext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Syntax describes how an engine reads a text.
type Syntax struct {
	Nested      bool // comments /* … */ nest
	Hash        bool // # begins a comment
	DashBlank   bool // -- begins a comment only if white space or the end follows
	Conditional bool // /*! … */ and /*M! … */ contain statements
	Backslash   bool // a backslash escapes the next character in '…' and "…"
	Escape      bool // the same in E'…'
	Dollar      bool // $tag$ … $tag$ quotes
	Backtick    bool // `…` quotes
	Bracket     bool // […] quotes
	Body        Body // how a ; inside a routine differs from the one at its end
}

// Body says how the statements inside a routine are kept together with it.
type Body int

// The kinds of bodies.
const (
	NoBody      Body = iota // each ; ends a statement
	AtomicBody              // CREATE FUNCTION … BEGIN ATOMIC … END
	TriggerBody             // CREATE TRIGGER … BEGIN …; END
)

// The engines' syntaxes.
var (
	PostgreSQL = Syntax{Nested: true, Escape: true, Dollar: true, Body: AtomicBody}
	MySQL      = Syntax{Hash: true, DashBlank: true, Conditional: true, Backslash: true, Backtick: true}
	SQLite     = Syntax{Backtick: true, Bracket: true, Body: TriggerBody}
	SQLServer  = Syntax{Nested: true, Bracket: true}
)

// Statement is one of a text's statements.
type Statement struct {
	Start, End int      // where it begins, and where its ; or the text ends, in bytes
	Words      []string // its words outside of quotes and parentheses, in upper case
}

// Split finds the statements of a text. Comments, white space and a ; alone are no statements.
func Split(text string, syntax Syntax) []Statement {
	s := scanner{text: text, syntax: syntax, start: -1}
	if strings.HasPrefix(text, "\ufeff") {
		s.at = len("\ufeff")
	}
	for s.at < len(text) {
		s.next()
	}
	s.end()
	return s.statements
}

// Line returns the line, from 1, of an offset in a text.
func Line(text string, at int) int { return strings.Count(text[:at], "\n") + 1 }

// Column returns the column, from 1 and in characters, of an offset in a text.
func Column(text string, at int) int {
	return utf8.RuneCountInString(text[strings.LastIndexByte(text[:at], '\n')+1:at]) + 1
}

// Blank replaces a part of a text by spaces, so that all other offsets stay the same.
func Blank(text string, start, end int) string {
	blank := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return ' '
	}, text[start:end])
	return text[:start] + blank + text[end:]
}

type scanner struct {
	text       string
	syntax     Syntax
	at         int
	statements []Statement

	start  int // of the statement being read; -1 between two statements
	words  []string
	parens int
	depth  int    // of BEGIN … END in a routine
	last   string // the last token that is a word or a ;
	before string // the token before last
}

// next reads one token.
func (s *scanner) next() {
	rest := s.text[s.at:]
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case unicode.IsSpace(r):
		s.at += size
	case strings.HasPrefix(rest, "--") && (!s.syntax.DashBlank || blankFollows(rest[2:])), r == '#' && s.syntax.Hash:
		s.at += lineLength(rest)
	case strings.HasPrefix(rest, "/*"):
		s.comment(rest)
	case r == ';':
		s.semicolon()
	case r == '\'', r == '"', r == '`' && s.syntax.Backtick:
		s.token(quoted(rest, byte(r), s.syntax.Backslash && r != '`'))
	case r == '[' && s.syntax.Bracket:
		s.token(quoted(rest, ']', false))
	case r == '$' && s.syntax.Dollar:
		s.token(dollar(rest))
	case isWord(r):
		s.word(rest)
	default:
		if r == '(' {
			s.parens++
		} else if r == ')' && s.parens > 0 {
			s.parens--
		}
		s.token(size)
	}
}

// token adds n bytes to the statement.
func (s *scanner) token(n int) {
	if s.start < 0 {
		s.start = s.at
	}
	s.at += n
}

// comment skips a comment. A comment that contains a statement is read as if its marks weren't
// there.
func (s *scanner) comment(rest string) {
	if s.syntax.Conditional && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")) {
		s.token(strings.IndexByte(rest, '!') + 1)
		return
	}
	depth := 0
	for i := 0; i < len(rest); {
		switch {
		case strings.HasPrefix(rest[i:], "/*") && (depth == 0 || s.syntax.Nested):
			depth++
			i += 2
		case strings.HasPrefix(rest[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				s.at += i
				return
			}
		default:
			i++
		}
	}
	s.at = len(s.text)
}

func (s *scanner) semicolon() {
	switch {
	case s.parens > 0 && s.syntax.Body == AtomicBody, // CREATE RULE … DO (…; …)
		s.syntax.Body == AtomicBody && s.depth > 0,
		s.syntax.Body == TriggerBody && s.isTrigger() && !(s.last == "END" && s.before == ";"):
		s.note(";")
		s.at++
	default:
		s.end()
		s.at++
	}
}

// end ends the statement being read, if any.
func (s *scanner) end() {
	if s.start >= 0 {
		s.statements = append(s.statements, Statement{Start: s.start, End: s.at, Words: s.words})
	}
	s.start, s.words, s.parens, s.depth, s.last, s.before = -1, nil, 0, 0, "", ""
}

func (s *scanner) note(token string) { s.before, s.last = s.last, token }

func (s *scanner) word(rest string) {
	n := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) && r != '$' })
	if n < 0 {
		n = len(rest)
	}
	word := strings.ToUpper(rest[:n])
	if word == "E" && s.syntax.Escape && strings.HasPrefix(rest[n:], "'") {
		s.token(n + quoted(rest[n:], '\'', true))
		return
	}
	s.token(n)
	s.note(word)
	if s.parens > 0 {
		return
	}
	s.words = append(s.words, word)
	if s.syntax.Body == AtomicBody && s.isRoutine() {
		switch {
		case word == "BEGIN", word == "CASE" && s.depth > 0:
			s.depth++
		case word == "END" && s.depth > 0:
			s.depth--
		}
	}
}

// isRoutine reports whether the statement begins with CREATE [OR REPLACE] FUNCTION or PROCEDURE.
func (s *scanner) isRoutine() bool {
	for i, word := range s.words[:min(len(s.words), 4)] {
		switch {
		case i == 0 && word != "CREATE":
			return false
		case word == "FUNCTION", word == "PROCEDURE":
			return true
		}
	}
	return false
}

// isTrigger reports whether the statement begins with CREATE [TEMP] TRIGGER.
func (s *scanner) isTrigger() bool {
	for i, word := range s.words[:min(len(s.words), 3)] {
		switch {
		case i == 0 && word != "CREATE":
			return false
		case word == "TRIGGER":
			return true
		}
	}
	return false
}

func isWord(r rune) bool {
	return r == '_' || r == utf8.RuneError || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func blankFollows(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || unicode.IsSpace(r) || unicode.IsControl(r)
}

func lineLength(rest string) int {
	if n := strings.IndexByte(rest, '\n'); n >= 0 {
		return n + 1
	}
	return len(rest)
}

// quoted returns the length of the quoted text at the beginning of rest. A doubled quote counts as
// two quoted texts, which has the same effect.
func quoted(rest string, end byte, backslash bool) int {
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && backslash:
			i++
		case rest[i] == end:
			return i + 1
		}
	}
	return len(rest)
}

// dollar returns the length of the dollar-quoted text at the beginning of rest, or 1 if there is
// none.
func dollar(rest string) int {
	n := strings.IndexByte(rest[1:], '$')
	if n < 0 {
		return 1
	}
	tag := rest[:n+2]
	for i, r := range tag[1 : len(tag)-1] {
		if !isWord(r) || i == 0 && unicode.IsDigit(r) {
			return 1
		}
	}
	end := strings.Index(rest[len(tag):], tag)
	if end < 0 {
		return len(rest)
	}
	return len(tag) + end + len(tag)
}
