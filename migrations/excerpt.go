package migrations

import (
	"fmt"
	"strings"
)

// locate converts a position in the text that was sent into a position in the file, and returns an
// excerpt: the line with a mark under it. If the line is unknown the excerpt is the beginning of
// the text that was sent.
//
// whole is the file as it was sent, in which pieces may be blanked out. sent is whole or a part of
// it.
func locate(file, whole, sent string, line, column int) (fileLine, fileColumn int, excerpt string) {
	if sent == "" {
		sent = whole
	}
	if line <= 0 {
		if sent == whole {
			sent = file
		}
		return 0, 0, beginning(sent)
	}
	if i := strings.Index(whole, sent); i > 0 { // sent is one of several statements
		before := whole[:i]
		if line == 1 && column > 0 {
			column += len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		}
		line += strings.Count(before, "\n")
	}
	lines := strings.Split(file, "\n")
	if line > len(lines) {
		return 0, 0, beginning(sent)
	}
	shown := strings.TrimRight(lines[line-1], "\r")
	excerpt = fmt.Sprintf("%5d | %s\n", line, shown)
	if column > 0 {
		excerpt += "      | " + indent(shown, column-1) + "^\n"
	}
	return line, column, excerpt
}

// indent returns blanks as wide as the first n characters of line. It keeps tabs.
func indent(line string, n int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= n {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

func beginning(text string) string {
	const most = 12
	lines := strings.Split(strings.TrimSpace(text), "\n")
	cut := len(lines) > most
	if cut {
		lines = lines[:most]
	}
	out := "    " + strings.Join(lines, "\n    ")
	if cut {
		out += "\n    …"
	}
	return out
}
