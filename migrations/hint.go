package migrations

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// hint says what is likely to be wrong with the text of a file that the server refused.
func (e *Engine) hint(s session, err error, text string) string {
	if hint := encodingHint(text); hint != "" || e.Hint == nil {
		return hint
	}
	return e.Hint(err, text, func(query string) (values []string) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		const most = 20
		rows, err := s.sharedConn.query(ctx, query, most)
		if err != nil {
			return nil
		}
		for _, row := range rows {
			values = append(values, valueText(row[0]))
		}
		return values
	})
}

// encodingHint returns a hint about a file that isn't plain UTF-8.
func encodingHint(text string) string {
	switch {
	case strings.HasPrefix(text, "\ufeff"):
		return "the file begins with a byte-order mark, which servers take for a part of the first word: save it " +
			"as UTF-8 without one."
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return "the file is in UTF-16: save it as UTF-8."
	case !utf8.ValidString(text):
		return "the file isn't in UTF-8: save it so."
	case strings.ContainsRune(text, 0):
		return "the file has zero bytes in it, as one in UTF-16 without a byte-order mark has: save it as UTF-8."
	}
	return ""
}
