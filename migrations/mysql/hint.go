package mysql

import "regexp"

var delimiter = regexp.MustCompile(`(?im)^[ \t]*DELIMITER[ \t]+\S`)

// hint recognizes commands of the client mysql that the server doesn't know.
func hint(_ error, text string, _ func(string) []string) string {
	if delimiter.MatchString(text) {
		return "DELIMITER is a command of the client mysql, and the server doesn't know it: leave it out, and end " +
			"each statement with ; alone. A body in BEGIN … END may have its own ; in it, since the server is " +
			"sent the whole file."
	}
	return ""
}
