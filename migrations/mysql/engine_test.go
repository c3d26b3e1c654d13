package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
)

func TestPosition(t *testing.T) {
	const text = "SELECT 1;\n\n  SELECT é FORM t;\nSELECT 1;"
	for message, want := range map[string][2]int{
		"You have an error … near 'FORM t' at line 1":          {3, 12},
		"You have an error … near 'SELECT 1' at line 1":        {}, // occurs twice in the text
		"You have an error … near '' at line 1":                {},
		"You have an error … near 'FORM t;\nSE' at line 1":     {3, 12},
		"Table 't' already exists":                             {},
		"near 'x' at line 99999999999999999999999999999999999": {},
	} {
		line, column := position(fmt.Errorf("wrapped: %w", &driver.MySQLError{Number: 1064, Message: message}), text)
		if [2]int{line, column} != want {
			t.Errorf("%s: %d:%d, want %v", message, line, column, want)
		}
	}
	if line, _ := position(&driver.MySQLError{Message: "… near '' at line 2"}, "SELECT\n(\n;\n"); line != 2 {
		t.Errorf("one statement: line %d, want 2", line)
	}
	if line, _ := position(errors.New("near 'x' at line 2"), "x"); line != 0 {
		t.Errorf("an error that isn't the server's: line %d", line)
	}
}

// The account that makes tables often can't make views.
func TestHintOfMissingPrivilege(t *testing.T) {
	const message = "CREATE VIEW command denied to user 'u'@'%' for table 'sqllock_held'"
	denied := fmt.Errorf("wrapped: %w", &driver.MySQLError{Number: 1142, Message: message})
	if got := hint(denied, "", nil); !strings.Contains(got, "grant it CREATE VIEW") {
		t.Errorf("the hint is %q", got)
	}
	denied = &driver.MySQLError{Number: 1142, Message: "CREATE command denied to user 'u'@'%' for table 't'"}
	if got := hint(denied, "", nil); got != "" {
		t.Errorf("the hint is %q, about a table", got)
	}
}
