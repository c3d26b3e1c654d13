package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/sqllock/sqllock/internal/cli"
)

// users are the users that may come in, with the hashes of their passwords.
type users map[string][sha256.Size]byte

// usersOf reads the passwords of the users of --auth.
func usersOf(auth []string) (users, error) {
	found := users{}
	for _, text := range auth {
		name, from, cut := strings.Cut(text, ":")
		if !cut || name == "" || from == "" {
			return nil, cli.Usagef("--auth %q: want USER:FILE, with the password in FILE, or USER:env:VARIABLE", name)
		}
		password, err := passwordIn(from)
		switch {
		case err != nil:
			return nil, cli.Usagef("--auth %s: the password can't be read: %v", name, err)
		case password == "":
			return nil, cli.Usagef("--auth %s: the password in %s is empty", name, from)
		}
		found[name] = sha256.Sum256([]byte(password))
	}
	return found, nil
}

// passwordIn returns the password in a file's first line, or in a variable.
func passwordIn(from string) (string, error) {
	if variable, isVariable := strings.CutPrefix(from, "env:"); isVariable {
		return os.Getenv(variable), nil
	}
	file, err := os.ReadFile(from) //nolint:gosec // the user of the command names it
	line, _, _ := bytes.Cut(file, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), err
}

// known reports whether a request comes from one of the users, with the right password.
func (u users) known(r *http.Request) bool {
	name, password, given := r.BasicAuth()
	want, known := u[name]
	got := sha256.Sum256([]byte(password))
	return given && subtle.ConstantTimeCompare(got[:], want[:]) == 1 && known
}

// admitted admits the users alone, if there are any. If only this machine can reach the server, it
// admits only requests that name this machine. A browser can be made to send others: the owner of a
// domain can let it point to a loopback address. /healthz needs no password.
func admitted(next http.Handler, users users, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case loopback && !isLoopback(hostOf(r.Host)):
			http.Error(w, "this page is only for this machine: call it localhost", http.StatusMisdirectedRequest)
		case len(users) > 0 && r.URL.Path != "/healthz" && !users.known(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="sqllock", charset="UTF-8"`)
			http.Error(w, "a name and a password are needed", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf returns a Host header without the port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return host
	}
	return strings.Trim(header, "[]")
}

// isLoopback reports whether a host is this machine and can't be reached from others.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
