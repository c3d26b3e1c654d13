package dburl

import (
	"net/url"
	"strings"
)

// CutMigrate takes the parameters that are golang-migrate's, x-migrations-table and the like, out of a URL in any engine's
// form, and answers them apart. What it can't read it leaves where it is, for the parser that comes next to complain of.
func CutMigrate(raw string) (rest string, settings url.Values) {
	settings = url.Values{}
	at := strings.LastIndexByte(raw, '?')
	if at < 0 {
		return raw, settings
	}
	var keep []string
	for parameter := range strings.SplitSeq(raw[at+1:], "&") {
		values, err := url.ParseQuery(parameter)
		if err != nil || !strings.HasPrefix(parameter, "x-") {
			keep = append(keep, parameter)
			continue
		}
		for name, value := range values {
			settings[name] = append(settings[name], value...)
		}
	}
	if len(keep) == 0 {
		return raw[:at], settings
	}
	return raw[:at+1] + strings.Join(keep, "&"), settings
}
