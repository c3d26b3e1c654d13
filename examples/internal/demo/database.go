//go:build !sqliteonly

package demo

import "github.com/sqllock/sqllock/open"

// Database is a database that an example runs on, of any engine.
type Database = open.Database

func openURL(url string) (*Database, error) { return open.URL(url) }
