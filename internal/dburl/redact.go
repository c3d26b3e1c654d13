package dburl

import (
	"net/url"
	"strings"
)

const mask = "xxxxx"

// Redact is raw with every password in it replaced by xxxxx, for logs and errors. It knows URLs, go-sql-driver's
// DSNs and libpq's "key=value" strings, and it doesn't need them to be well-formed: where a malformed one leaves
// open what is password and what is host, it hides both. It never panics.
func Redact(raw string) string {
	redacted, _ := split(raw)
	return redacted
}

// Leaks tells whether text shows a piece of a password that Redact hides in raw. Parsers quote what they stumble
// over, and in a malformed URL that can be half a password.
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

// split redacts raw and answers what it hid, as it was written and percent-decoded.
func split(raw string) (redacted string, hidden []string) {
	hide := func(secret string) string {
		hidden = append(hidden, secret)
		if decoded, err := url.QueryUnescape(secret); err == nil && decoded != secret {
			hidden = append(hidden, decoded)
		}
		return mask
	}
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL || !isWord(scheme) {
		scheme, rest = "", raw
	} else {
		scheme += "://"
	}
	if start, end := password(rest); end > start {
		rest = rest[:start] + hide(rest[start:end]) + rest[end:]
	}
	return scheme + parameters(rest, hide), hidden
}

// password is where the user part's password stands: from the first colon to the last @, since an unescaped
// password may hold any of / ? # @ itself. Without an @, a colon that no port follows starts one too.
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

// colon is where the first colon ends, plain or percent-encoded, or -1.
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

// isPort tells whether s starts with a port number, or with nothing where one may stand.
func isPort(s string) bool {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	return digits == len(s) || strings.IndexByte("/?,)#", s[digits]) >= 0
}

// parameters hides the values of parameters whose name says that they are secret.
func parameters(s string, hide func(string) string) string {
	const separators = "?&; \t\n\r"
	var out strings.Builder
	for s != "" {
		end := strings.IndexAny(s, separators)
		if end < 0 {
			end = len(s)
		}
		name, _, found := strings.Cut(s[:end], "=")
		if !found || !secret(name) {
			end = min(end+1, len(s))
			out.WriteString(s[:end])
			s = s[end:]
			continue
		}
		// A value may hold a separator itself, escaped by nobody or quoted as libpq does: it ends where the next
		// parameter begins.
		length := valueLength(s[len(name)+1:])
		value := s[len(name)+1 : len(name)+1+length]
		out.WriteString(name + "=" + hide(value))
		s = s[len(name)+1+length:]
	}
	return out.String()
}

// valueLength is how far a secret value reaches: to the closing quote, or to the next "separator name=".
func valueLength(s string) int {
	if strings.HasPrefix(s, "'") {
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
	for i := range len(s) {
		if strings.IndexByte("&; \t\n\r", s[i]) < 0 {
			continue
		}
		name, _, found := strings.Cut(s[i+1:], "=")
		if found && name != "" && isWord(name) {
			return i
		}
	}
	return len(s)
}

// isWord tells whether s can be a scheme or a parameter's name.
func isWord(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+") == ""
}

func secret(name string) bool {
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	name = strings.ToLower(name)
	for _, word := range []string{"pass", "pwd", "secret", "token"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
