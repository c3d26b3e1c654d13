package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect/mysql/mysqldsn"
)

// registerTLS registers with go-sql-driver the TLS settings of golang-migrate's parameters, under
// the name in the URL: tls=custom&x-tls-ca=ca.pem. It reports errors through u.Params.
func registerTLS(u *mysqldsn.URL) {
	p := u.Params
	ca, cert, key := p.Text("x-tls-ca"), p.Text("x-tls-cert"), p.Text("x-tls-key")
	insecure := p.Bool("x-tls-insecure-skip-verify")
	//nolint:gosec // the URL asks for InsecureSkipVerify
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	name, err := url.QueryUnescape(u.Param("tls"))
	switch {
	case ca == "":
		for _, needs := range []string{"x-tls-cert", "x-tls-key", "x-tls-insecure-skip-verify"} {
			if p.Text(needs) != "" {
				p.Invalid(needs, "it needs x-tls-ca=FILE beside it")
			}
		}
		return
	case err != nil || slices.Contains(reserved, strings.ToLower(name)):
		p.Invalid("x-tls-ca", "it needs tls=NAME beside it, with a name of your own, as tls=custom")
		return
	case (cert == "") != (key == ""):
		p.Invalid("x-tls-cert", "x-tls-cert and x-tls-key need each other")
		return
	}
	pem, err := os.ReadFile(ca) //nolint:gosec // the user names the file
	if err != nil {
		p.Invalid("x-tls-ca", "%v", err)
		return
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		p.Invalid("x-tls-ca", "there is no certificate in %s", ca)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			p.Invalid("x-tls-cert", "with x-tls-key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if err := driver.RegisterTLSConfig(name, config); err != nil {
		p.Invalid("x-tls-ca", "tls: %v", err)
	}
}

// reserved are the values of tls that aren't names.
var reserved = []string{"", "0", "1", "true", "false", "skip-verify", "preferred"}
