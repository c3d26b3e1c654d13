//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving is a sqllock serve that is running.
type serving struct {
	*process
	url    string
	client *http.Client
}

func serve(t *testing.T, line string, more ...string) *serving {
	t.Helper()
	p := start(t, "", "serve --listen 127.0.0.1:0 "+line, more...)
	return &serving{p, p.line("http"), &http.Client{
		Timeout:   stepTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true},
	}}
}

// get requests a page as the edit says.
func (s *serving) get(path string, edit func(r *http.Request)) (status int, body string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Error(err)
	}
	return response.StatusCode, string(text)
}

// wants checks the status of a page.
func (s *serving) wants(what string, status int, path string, edit func(r *http.Request)) {
	s.t.Helper()
	if got, body := s.get(path, edit); got != status {
		s.t.Errorf("%s: %s has status %d, want %d: %s", what, path, got, status, body)
	}
}

// finish ends it by a signal, also while somebody looks at a page.
func (s *serving) finish() {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"live", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if response, err := s.client.Do(r); err == nil {
		defer response.Body.Close()
	}
	s.client.CloseIdleConnections() // the server would wait for those that were never used
	s.signal(syscall.SIGTERM)
	s.end(0)
}

func host(name string) func(*http.Request) {
	return func(r *http.Request) { r.Host = name }
}

func login(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// What serve shows is what ls and show print. It admits only requests to this machine by name.
func TestServe(t *testing.T) {
	newDatabase(t)
	one := holder(t, "a/b --identity first --note a-note")
	s := serve(t, "")
	for path, line := range map[string]string{"api/locks": "ls --json", "api/locks/a%2Fb": "show a/b --json"} {
		_, text := s.get(path, nil)
		var page, command document
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatalf("%s: %v: %s", path, err, text)
		}
		command = documentOf(t, 0, strings.TrimSuffix(line, " --json"))
		if said, want := shape(page), shape(command); said != want || !strings.Contains(said, `"note":"a-note"`) {
			t.Errorf("%s has %s, and %s prints %s", path, said, line, want)
		}
	}
	s.wants("a page", 200, "lock?name=a%2Fb", nil)
	s.wants("nobody may break", 403, "break?name=a%2Fb", nil)
	for name, status := range map[string]int{
		"localhost": 200, "LOCALHOST:1": 200, "127.0.0.1": 200, "[::1]:8470": 200, "": 200, // which is the address
		"evil.example": 421, "evil.example:8470": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"10.0.0.1": 421,
	} {
		s.wants("the host "+name, status, "", host(name))
	}
	s.finish()
	one.finish()
}

// shape returns a document without what changes from one reading to the next.
func shape(d document) string {
	d.Command = ""
	text, err := json.Marshal(d)
	if err != nil {
		return err.Error()
	}
	var parts []string
	for part := range strings.SplitSeq(string(text), ",") {
		if !strings.Contains(part, "_ms") {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

// Beyond this machine, serve wants users and TLS, or to be told that neither is needed.
func TestServeRefuses(t *testing.T) {
	newDatabase(t)
	dir := t.TempDir()
	password, empty := filepath.Join(dir, "password"), filepath.Join(dir, "empty")
	for file, text := range map[string]string{password: "secret\n", empty: "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := certificate(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	auth, secure := " --auth anna:"+password, " --tls-cert "+cert+" --tls-key "+key
	check(t, []want{
		{"serve --listen :0", 64, "", "other machines"},
		{"serve --listen 0.0.0.0:0", 64, "", "other machines"},
		{"serve --listen [::]:0", 64, "", "other machines"},
		{"serve --listen 192.0.2.1:0", 64, "", "other machines"},
		{"serve --listen example.org:0", 64, "", "other machines"},
		{"serve --listen :0" + auth, 64, "", "in the clear"},
		{"serve --listen :0" + secure, 64, "", "other machines"},
		{"serve --listen 127.0.0.1", 64, "", "HOST:PORT"},
		{"serve --listen " + taken.Addr().String(), 64, "", "in use"},
		{"serve --tls-cert " + cert, 64, "", "go together"},
		{"serve --tls-cert " + key + " --tls-key " + cert, 64, "", "--tls-cert"},
		{"serve --auth anna", 64, "", "USER:FILE"},
		{"serve --auth :" + password, 64, "", "USER:FILE"},
		{"serve --auth anna:" + empty, 64, "", "is empty"},
		{"serve --auth anna:" + dir + "/nosuch", 64, "", "can't be read"},
		{"serve --auth anna:env:NOSUCH_VARIABLE", 64, "", "is empty"},
		{"serve --breaker anna", 64, "", "no such user"},
		{"serve a", 64, "", "too many"},
		{"serve --database sqlite:///nosuch/a.db", 69, "", "no file"},
	})
	t.Setenv("PAGE_PASSWORD", "other")
	for _, flags := range []string{"--insecure", auth + " --auth bert:env:PAGE_PASSWORD --breaker bert" + secure} {
		s := serve(t, "--listen :0 "+flags)
		_, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.SplitN(s.url, "://", 2)[1], "/"))
		s.url = strings.SplitN(s.url, "://", 2)[0] + "://127.0.0.1:" + port + "/"
		if flags == "--insecure" {
			s.wants("anybody", 200, "", host("locks.example.org"))
			s.finish()
			continue
		}
		s.wants("no password", 401, "", nil)
		s.wants("no password", 401, "api/locks", nil)
		s.wants("no password", 401, "live", nil)
		s.wants("no password is needed", 200, "healthz", nil)
		s.wants("a wrong password", 401, "", login("anna", "other"))
		s.wants("a wrong user", 401, "", login("carl", ""))
		s.wants("the password", 200, "", login("anna", "secret"))
		s.wants("who may not break", 403, "break?name=a&fence=1", login("anna", "secret"))
		s.wants("who may break", 409, "break?name=a&fence=1", login("bert", "other"))
		if !strings.HasPrefix(s.url, "https://") {
			t.Errorf("with TLS it serves %s", s.url)
		}
		s.finish()
		if said := s.errs.String(); strings.Contains(said, "secret") {
			t.Errorf("a password is in the log: %s", said)
		}
	}
}

// certificate returns the files of a certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
