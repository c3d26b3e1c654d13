package sqlite

import (
	"embed"
	"strings"

	"github.com/sqllock/sqllock/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

// clock is the machine's time in microseconds since 1970. It moves once a millisecond, and unixepoch is a floating
// point number of seconds: rounding takes its error off. SQLite reads it when a statement first needs it, which is
// after a wait for the write lock, and keeps it for that statement.
const clock = "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"

// statements are the texts in sql/, one file each.
type statements struct {
	createLease, renewLease, buryLease, leaseLeft, buryExpired, deleteLease string
	acquire, release, guard, free, look, list, purge                        string
	acquireMany, releaseMany                                                string
	writeLock                                                               string
	server, settings, schema                                                string
}

var queries = gather(load)

func gather(load func(file string) string) statements {
	return statements{
		createLease: load("create_lease"),
		renewLease:  load("renew_lease"),
		buryLease:   load("bury_lease"),
		leaseLeft:   load("lease_left"),
		buryExpired: load("bury_expired"),
		deleteLease: load("delete_lease"),

		acquire: load("acquire"),
		release: load("release"),
		guard:   load("guard"),
		free:    load("free"),
		look:    load("look"),
		list:    load("list"),
		purge:   load("purge"),

		acquireMany: load("acquire_many"),
		releaseMany: load("release_many"),

		writeLock: load("write_lock"),

		server:   load("server"),
		settings: load("settings"),
		schema:   load("schema"),
	}
}

// load reads a statement and puts the clock in.
func load(name string) string {
	return strings.ReplaceAll(engine.Statement(files, name), "clock()", clock)
}
