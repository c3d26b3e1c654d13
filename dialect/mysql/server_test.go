package mysql

import (
	"database/sql"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

func TestProductAndVersion(t *testing.T) {
	for _, c := range []struct {
		version, comment, product, number string
		refused                           bool
	}{
		{"9.7.4-2", "(Debian)", "MySQL", "9.7.4", false},
		{"8.4.0", "MySQL Community Server - GPL", "MySQL", "8.4.0", false},
		{"8.0.11", "", "MySQL", "8.0.11", false},
		{"8.0.4-rc", "", "MySQL", "8.0.4", true},
		{"5.7.44-log", "MySQL Community Server (GPL)", "MySQL", "5.7.44", true},
		{"8.0.36-28", "Percona Server (GPL), Release 28", "Percona Server", "8.0.36", false},
		{"10.11.19-MariaDB-0+deb12u1", "Debian 12", "MariaDB", "10.11.19", false},
		{"10.6.0-MariaDB", "", "MariaDB", "10.6.0", false},
		{"10.5.29-MariaDB-log", "", "MariaDB", "10.5.29", true},
		{"10.5.29", "MariaDB Server", "MariaDB", "10.5.29", true},
		{"11.8.2-MariaDB-ubu2404", "", "MariaDB", "11.8.2", false},
		{"8.0.11-TiDB-v7.5.0", "TiDB Server (Apache License 2.0)", "TiDB", "7.5.0", false},
		{"8.4.6-Vitess", "Version: 24.0.4", "Vitess", "8.4.6", false},
		{"", "", "MySQL", "", false},
		{"9", "", "MySQL", "9", false},
		{"unheard.of", "", "MySQL", "unheard.of", false},
	} {
		got := named(c.version, c.comment)
		if got.Product != c.product || got.Version != c.number {
			t.Errorf("named(%q, %q) = %q, %q", c.version, c.comment, got.Product, got.Version)
		}
		err := checkVersion(got)
		if errors.Is(err, dialect.ErrUnsupported) != c.refused || (err != nil) != c.refused {
			t.Errorf("%+v: %v, want refused %t", got, err, c.refused)
		}
		if err != nil && (!strings.Contains(err.Error(), c.product) || !strings.Contains(err.Error(), c.number)) {
			t.Errorf("doesn't say what it found: %v", err)
		}
	}
}

func TestSettings(t *testing.T) {
	good := settings{
		database: sql.NullString{String: "app", Valid: true}, autocommit: "1", readOnly: "0", innodbRO: "0",
		client: "utf8mb4", connection: "utf8mb4", results: sql.NullString{String: "utf8mb4", Valid: true},
		mode: "ANSI_QUOTES", completion: "NO_CHAIN", most: math.MaxUint64, sorted: 1024,
	}
	words := good
	words.autocommit, words.readOnly, words.innodbRO, words.results.Valid = "ON", "OFF", "OFF", false
	for _, s := range []settings{good, words} {
		if err := s.check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for want, spoil := range map[error][]func(*settings){
		dialect.ErrInvalid: {
			func(s *settings) { s.database.Valid = false },
			func(s *settings) { s.autocommit = "0" },
			func(s *settings) { s.autocommit = "OFF" },
			func(s *settings) { s.client = "latin1" },
			func(s *settings) { s.connection = "utf8mb3" },
			func(s *settings) { s.results.String = "latin1" },
			func(s *settings) { s.completion = "CHAIN" },
			func(s *settings) { s.mode = "STRICT_TRANS_TABLES,EMPTY_STRING_IS_NULL" },
			func(s *settings) { s.most = 1000 },
			func(s *settings) { s.sorted = 8 },
		},
		errReadOnly: {
			func(s *settings) { s.readOnly = "1" },
			func(s *settings) { s.readOnly = "NO_LOCK" }, // since MariaDB 12
			func(s *settings) { s.innodbRO = "ON" },
		},
	} {
		for i, f := range spoil {
			bad := good
			f(&bad)
			if err := bad.check(); !errors.Is(err, want) {
				t.Errorf("%d: %+v: %v, want %v", i, bad, err, want)
			}
		}
	}
}
