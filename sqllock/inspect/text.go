package inspect

import (
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Printable returns a text with each rune replaced by U+FFFD that could change a terminal or the
// order of the text around it. Names, notes and holders come from other processes.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// Short returns a duration for people, with as much precision as they want. A negative one counts
// as 0.
func Short(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// Glob returns a function that reports whether a text matches a pattern, in which * stands for any
// text, also with slashes, and ? for any character.
func Glob(pattern string) func(string) bool {
	quoted := regexp.QuoteMeta(strings.ToValidUTF8(pattern, "\uFFFD"))
	quoted = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted)
	return regexp.MustCompile("(?s)^" + quoted + "$").MatchString
}
