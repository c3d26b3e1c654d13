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
	acquire, release, guard, raise, free, look, list, purge                 string
	acquireMany, releaseMany                                                string
	enqueue, dequeue, queue, holding, pass, purgeWaiters                    string
	recall, remember, claimOutcome, settleOutcome, purgeOutcomes            string
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
		raise:   load("raise"),
		free:    load("free"),
		look:    load("look"),
		list:    load("list"),
		purge:   load("purge"),

		acquireMany: load("acquire_many"),
		releaseMany: load("release_many"),

		enqueue:      load("enqueue"),
		dequeue:      load("dequeue"),
		queue:        load("queue"),
		holding:      load("holding"),
		pass:         load("pass"),
		purgeWaiters: load("purge_waiters"),

		recall:        load("recall"),
		remember:      load("remember"),
		claimOutcome:  load("claim_outcome"),
		settleOutcome: load("settle_outcome"),
		purgeOutcomes: load("purge_outcomes"),

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
