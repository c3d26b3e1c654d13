package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/internal/dburl"
)

// registerTLS makes the TLS settings that golang-migrate's parameters describe known to go-sql-driver by the name that the URL
// gives them: tls=custom&x-tls-ca=ca.pem.
func registerTLS(raw string, settings url.Values) error {
	files := settings.Get("x-tls-ca")
	if files == "" {
		return nil
	}
	parameters, err := url.ParseQuery(raw[strings.LastIndexByte(raw, '?')+1:])
	if err != nil {
		return dburl.Unparsable(raw)
	}
	pem, err := os.ReadFile(files) //nolint:gosec // the file that the user names
	if err != nil {
		return dburl.Invalid(raw, "x-tls-ca: %v", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return dburl.Invalid(raw, "x-tls-ca: there is no certificate in %s", files)
	}
	if cert, key := settings.Get("x-tls-cert"), settings.Get("x-tls-key"); cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return dburl.Invalid(raw, "x-tls-cert and x-tls-key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if text := settings.Get("x-tls-insecure-skip-verify"); text != "" {
		if config.InsecureSkipVerify, err = strconv.ParseBool(text); err != nil {
			return dburl.Invalid(raw, "x-tls-insecure-skip-verify: %v", err)
		}
	}
	if err := driver.RegisterTLSConfig(parameters.Get("tls"), config); err != nil {
		return dburl.Invalid(raw, "tls: %v", err)
	}
	return nil
}
