package engine

import (
	"io/fs"
	"strings"
)

// Statement reads sql/NAME.sql without its comment lines, which are for readers of the file and not
// for the server's logs. It panics if there is no such file: a mistake in the engine's list that
// any test finds.
func Statement(files fs.FS, name string) string {
	text, err := fs.ReadFile(files, "sql/"+name+".sql")
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}
