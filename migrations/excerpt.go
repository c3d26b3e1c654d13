package migrations

import (
	"fmt"
	"strings"
)

// locate turns a position in the text that was sent into one in the file, and shows the line with a mark under it.
// Where the line is unknown it shows what was sent, the beginning of it if that is long.
func locate(file, sent string, line, column int) (fileLine, fileColumn int, excerpt string) {
	if sent == "" {
		sent = file
	}
	if line <= 0 {
		return 0, 0, beginning(sent)
	}
	if i := strings.Index(file, sent); i > 0 { // one statement of several
		before := file[:i]
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

// indent is as wide as the first n characters of line, tabs kept.
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
