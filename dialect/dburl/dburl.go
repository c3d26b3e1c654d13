package dburl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// Cut splits the scheme, in lower case, from a URL. Its error wraps dialect.ErrInvalid.
func Cut(raw string) (scheme, rest string, err error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || scheme == "" {
		return "", "", Invalid(raw, "it doesn't begin with an engine's name and ://")
	}
	return strings.ToLower(scheme), rest, nil
}

// CutScheme cuts off the scheme, which must be one of schemes.
func CutScheme(raw string, schemes ...string) (rest string, err error) {
	scheme, rest, err := Cut(raw)
	if err != nil {
		return "", err
	}
	if slices.Contains(schemes, scheme) {
		return rest, nil
	}
	return "", Invalid(raw, "it must begin with %s://", strings.Join(schemes, ":// or "))
}

// Invalid returns the error about a bad database URL. It names the URL without its password, says
// what is wrong with it, and wraps dialect.ErrInvalid.
func Invalid(raw, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	if Leaks(why, raw) {
		return Unparsable(raw)
	}
	return fmt.Errorf("%w: database URL %q: %s", dialect.ErrInvalid, Redact(raw), why)
}

// Unparsable returns the error about a URL that can't be parsed. Parsers' own errors quote it with
// its password.
func Unparsable(raw string) error {
	return fmt.Errorf("%w: database URL %q: it can't be parsed; write special characters in user and password "+
		"percent-encoded, as in p%%40ss for p@ss", dialect.ErrInvalid, Redact(raw))
}
