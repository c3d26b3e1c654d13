package sqlite

import (
	"errors"
	"testing"
)

func TestPosition(t *testing.T) {
	const text = "SELECT 1;\n\n  SELECT é FORM t; -- FORM\nSELECT FORMAT(1), x_FORM;"
	for message, want := range map[string][2]int{
		`near "FORM": syntax error`:            {3, 12},
		`near "SELECT": syntax error`:          {}, // occurs twice in the text
		`near "\xff": syntax error`:            {},
		`table "t" already exists`:             {3, 17},
		`no such column: nowhere`:              {},
		`unrecognized token: "` + "\xff" + `"`: {},
	} {
		if line, column := position(errors.New(message), text); [2]int{line, column} != want {
			t.Errorf("%s: %d:%d, want %v", message, line, column, want)
		}
	}
}

// Neither the server's message nor the file's text can be trusted.
func FuzzPosition(f *testing.F) {
	f.Add("\xff", "\xff")
	f.Add("(", "a ( b")
	f.Add("C\x00R\x00", "\xff\xfeC\x00R\x00")
	f.Fuzz(func(t *testing.T, near, text string) {
		if line, column := position(errors.New(`near "`+near+`": syntax error`), text); line < 0 || column < 0 {
			t.Errorf("%q in %q: %d:%d", near, text, line, column)
		}
	})
}
