package dburl

import (
	"net/url"
	"strings"
)

const mask = "xxxxx"

// Redact returns raw with every password in it replaced by xxxxx, for logs and errors. It knows
// URLs, go-sql-driver's DSNs and libpq's "key=value" strings, which needn't be well-formed: if a
// malformed one leaves open what is password and what is host, Redact hides both. It never panics.
func Redact(raw string) string {
	redacted, _ := split(raw)
	return redacted
}

// Leaks reports whether text shows a part of a password that Redact hides in raw. Parsers quote the
// text that they fail at, and in a malformed URL that can be half a password.
func Leaks(text, raw string) bool {
	const piece = 4
	_, hidden := split(raw)
	for _, secret := range hidden {
		if len(secret) <= piece {
			if secret != "" && strings.Contains(text, secret) {
				return true
			}
			continue
		}
		for i := 0; i+piece <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+piece]) {
				return true
			}
		}
	}
	return false
}

// split redacts raw and returns what it hid, as written and percent-decoded. It hides what any
// reading of raw takes for a password: in a malformed URL it is unclear where a password ends, and
// a parameter's value may look like a user part.
func split(raw string) (redacted string, hidden []string) {
	secret := make([]bool, len(raw))
	hide := func(start, end int) {
		for i := start; i < end; i++ {
			secret[i] = true
		}
	}
	rest := raw
	scheme, after, isURL := strings.Cut(raw, "://")
	if isURL = isURL && isWord(scheme); isURL {
		rest = after
	}
	offset := len(raw) - len(rest)
	start, end := password(rest)
	hide(offset+start, offset+end)
	parameters(rest, isURL, func(start, end int) { hide(offset+start, offset+end) })

	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		if !secret[i] {
			out.WriteByte(raw[i])
			continue
		}
		from := i
		for i+1 < len(raw) && secret[i+1] {
			i++
		}
		out.WriteString(mask)
		hidden = append(hidden, raw[from:i+1])
		if decoded, err := url.QueryUnescape(raw[from : i+1]); err == nil && decoded != raw[from:i+1] {
			hidden = append(hidden, decoded)
		}
	}
	return out.String(), hidden
}

// password returns where the user part's password is: from the first colon to the last @, since an
// unescaped password may contain any of / ? # @ itself. Without an @, a colon that isn't followed
// by a port also starts one.
func password(rest string) (start, end int) {
	at := strings.LastIndexByte(rest, '@')
	user := rest
	if at >= 0 {
		user = rest[:at]
	}
	start = colon(user)
	if start < 0 {
		return 0, 0
	}
	if at >= 0 {
		return start, at
	}
	if keyword := strings.IndexAny(rest, "=/?\\"); keyword >= 0 && keyword < start {
		return 0, 0 // the colon belongs to a path or a parameter
	}
	if strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, ":") || isPort(rest[start:]) {
		return 0, 0
	}
	return start, len(rest)
}

// colon returns where the first colon ends, plain or percent-encoded, or -1.
func colon(s string) int {
	plain, encoded := strings.IndexByte(s, ':'), strings.Index(strings.ToLower(s), "%3a")
	switch {
	case encoded >= 0 && (plain < 0 || encoded < plain) && len(s) == len(strings.ToLower(s)):
		return encoded + len("%3a")
	case plain >= 0:
		return plain + 1
	}
	return -1
}

// isPort reports whether s starts with a port number, or with nothing in its place.
func isPort(s string) bool {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	return digits == len(s) || strings.IndexByte("/?,)#", s[digits]) >= 0
}

// parameters finds the values of parameters whose name marks them as secret, in a URL's query or in
// a libpq or ADO string of key=value pairs, where there may be spaces around the =.
func parameters(s string, isURL bool, hide func(start, end int)) {
	const separators = "?&; \t\n\r"
	for at := 0; at < len(s); {
		end := at + length(s[at:], separators+"=")
		name, value := s[at:end], end
		if !isURL {
			value += spaces(s[value:])
		}
		if value >= len(s) || s[value] != '=' {
			at = end + 1
			continue
		}
		value++
		if !isURL {
			value += spaces(s[value:])
		}
		if !isSecret(name, s[value:]) {
			at = value
			end := at + length(s[at:], separators)
			if end >= len(s) {
				return
			}
			at = end + 1
			continue
		}
		at = value + valueLength(s[value:], isURL)
		hide(value, at)
	}
}

// length returns how many bytes of s precede one of stop.
func length(s, stop string) int {
	if end := strings.IndexAny(s, stop); end >= 0 {
		return end
	}
	return len(s)
}

func spaces(s string) int { return len(s) - len(strings.TrimLeft(s, " \t\n\r")) }

// valueLength returns the length of a secret value: up to the closing quote, or to the next
// "separator name=". A value may itself contain a separator, unescaped or quoted as libpq does. In
// a URL only & separates.
func valueLength(s string, isURL bool) int {
	separators := "&"
	if !isURL {
		separators = "&; \t\n\r"
		if strings.HasPrefix(s, "'") {
			return quotedLength(s)
		}
	}
	for i := range len(s) {
		if strings.IndexByte(separators, s[i]) < 0 {
			continue
		}
		name, _, found := strings.Cut(s[i+1:], "=")
		if found && name != "" && isWord(strings.TrimSpace(name)) {
			return i
		}
	}
	return len(s)
}

func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(s)
}

// isWord reports whether s can be a scheme or a parameter's name.
func isWord(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+") == ""
}

// isSecret reports whether a parameter has to be hidden: by its name, or because it is a pragma
// that sets SQLite's key.
func isSecret(name, value string) bool {
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	name = strings.ToLower(name)
	for _, word := range []string{"pass", "pwd", "secret", "token", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	for _, word := range []string{"key", "hexkey", "rekey", "hexrekey"} {
		if name == word || name == "_"+word || name == "_pragma" && strings.HasPrefix(strings.ToLower(value), word) {
			return true
		}
	}
	return false
}
