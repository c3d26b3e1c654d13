package mysql

import (
	"errors"
	"regexp"
	"strings"

	driver "github.com/go-sql-driver/mysql"
)

var delimiter = regexp.MustCompile(`(?im)^[ \t]*DELIMITER[ \t]+\S`)

// hint recognizes commands of the client mysql that the server doesn't know, and a privilege that
// an account which may create tables often lacks.
func hint(err error, text string, _ func(string) []string) string {
	var denied *driver.MySQLError
	if errors.As(err, &denied) && denied.Number == 1142 && strings.HasPrefix(denied.Message, "CREATE VIEW ") {
		return "this account may create tables and no views: grant it CREATE VIEW on the database."
	}
	if delimiter.MatchString(text) {
		return "DELIMITER is a command of the client mysql, and the server doesn't know it: leave it out, and end " +
			"each statement with ; alone. A body in BEGIN … END may have its own ; in it, since the server is " +
			"sent the whole file."
	}
	return ""
}
