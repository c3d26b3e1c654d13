package sqlserver

import "regexp"

var batch = regexp.MustCompile(`(?im)^[ \t]*GO[ \t]*(?:\d+[ \t]*)?;?[ \t]*\r?$`)

// hint recognizes a command of sqlcmd that the server doesn't know.
func hint(_ error, text string, _ func(string) []string) string {
	if batch.MatchString(text) {
		return "GO is a command of sqlcmd, and the server doesn't know it: make each batch a migration of its " +
			"own, or send it with EXEC."
	}
	return ""
}
