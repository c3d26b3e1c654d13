package dburl

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Parameters are the parameters of a URL that are golang-migrate's own, such as x-migrations-table.
// Each is read by its name. Err refuses a value that can't be read and a parameter that nothing has
// read.
type Parameters struct {
	raw    string
	values map[string]string
	known  []string
	err    error
}

// CutParameters removes golang-migrate's parameters, and those named in drop, from a URL whose
// query begins with the ? at index query, or has none if query is -1. Everything else stays as
// written: the driver decides what a + or a % means.
func CutParameters(raw string, query int, drop ...string) (rest string, own *Parameters) {
	own = &Parameters{raw: raw, values: map[string]string{}}
	if query < 0 {
		return raw, own
	}
	var keep []string
	for parameter := range strings.SplitSeq(raw[query+1:], "&") {
		name, value, _ := strings.Cut(parameter, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		switch {
		case IsMigrates(name):
			own.add(name, value)
		case !slices.Contains(drop, name):
			keep = append(keep, parameter)
		}
	}
	if len(keep) == 0 {
		return raw[:query], own
	}
	return raw[:query+1] + strings.Join(keep, "&"), own
}

// IsMigrates reports whether a parameter's name is one of golang-migrate's own.
func IsMigrates(name string) bool { return len(name) > 1 && strings.EqualFold(name[:2], "x-") }

func (p *Parameters) add(name, escaped string) {
	value, err := url.QueryUnescape(escaped)
	_, twice := p.values[name]
	switch {
	case err != nil:
		p.Invalid(name, "it has a %% that isn't percent-encoding: write it as %%25")
	case twice:
		p.Invalid(name, "it is given more than once")
	}
	p.values[name] = value
}

// Invalid records what is wrong with a parameter, for Err. Err returns the first one recorded.
func (p *Parameters) Invalid(name, format string, args ...any) {
	if p.err == nil {
		p.err = Invalid(p.raw, name+": "+format, args...)
	}
}

// Text returns a parameter's value, or "" if there is none.
func (p *Parameters) Text(name string) string {
	p.known = append(p.known, name)
	return p.values[name]
}

// Bool returns a parameter's value, or false if there is none.
func (p *Parameters) Bool(name string) bool {
	text := p.Text(name)
	if text == "" {
		return false
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		p.Invalid(name, "it is %q: want true or false", text)
	}
	return value
}

// Number returns a parameter's value, a number from 0 to most, or 0 if there is none.
func (p *Parameters) Number(name, unit string, most int) int {
	text := p.Text(name)
	if text == "" {
		return 0
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 || value > most {
		p.Invalid(name, "it is %q: want %s, a whole number from 0 to %d", text, unit, most)
		return 0
	}
	return value
}

// Err returns the first error in the parameters. It wraps dialect.ErrInvalid and names the
// parameter.
func (p *Parameters) Err() error {
	for name := range p.values {
		if !slices.Contains(p.known, name) {
			p.Invalid(name, "there is no such parameter here; of golang-migrate's there are %s",
				strings.Join(p.known, ", "))
		}
	}
	return p.err
}

// Any returns the name of one of the parameters, or "" if there are none.
func (p *Parameters) Any() string {
	for name := range p.values {
		return name
	}
	return ""
}
