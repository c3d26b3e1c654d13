package sqlite

import (
	"embed"
	"strings"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

// clock is the machine's time in microseconds since 1970. It advances once a millisecond. unixepoch
// is a floating-point number of seconds, and rounding removes its error. SQLite reads it when a
// statement first needs it, which is after a wait for the write lock, and keeps the value for that
// statement.
const clock = "(CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000)"

// statements are the texts in sql/, one file each.
type statements struct {
	createLease, renewLease, expireLease, seeLease, overlong, deleteExpired, deleteLease string
	acquire, release, guard, advanceFence, free, endBar, get, list, purge                string
	acquireMany, releaseMany                                                             string
	enqueue, dequeue, queue, listWaiters, waitingHolders, transfer, purgeWaiters         string
	recall, remember, claimOutcome, rememberTx, purgeOutcomes                            string
	recordBreak, seeBreak, listBreaks, purgeBreaks                                       string
	writeLock                                                                            string
	locate, server, settings, schema, compatible                                         string
}

var queries = loadQueries(load)

func loadQueries(load func(file string) string) statements {
	return statements{
		createLease:   load("create_lease"),
		renewLease:    load("renew_lease"),
		expireLease:   load("expire_lease"),
		seeLease:      load("see_lease"),
		overlong:      load("overlong_leases"),
		deleteExpired: load("delete_expired"),
		deleteLease:   load("delete_lease"),

		acquire:      load("acquire"),
		release:      load("release"),
		guard:        load("guard"),
		advanceFence: load("advance_fence"),
		free:         load("free"),
		endBar:       load("end_bar"),
		get:          load("get"),
		list:         load("list"),
		purge:        load("purge"),

		acquireMany: load("acquire_many"),
		releaseMany: load("release_many"),

		enqueue:        load("enqueue"),
		dequeue:        load("dequeue"),
		queue:          load("queue"),
		listWaiters:    load("list_waiters"),
		waitingHolders: load("waiting_holders"),
		transfer:       load("transfer"),
		purgeWaiters:   load("purge_waiters"),

		recall:        load("recall"),
		remember:      load("remember"),
		claimOutcome:  load("claim_outcome"),
		rememberTx:    load("remember_tx"),
		purgeOutcomes: load("purge_outcomes"),

		recordBreak: load("record_break"),
		seeBreak:    load("see_break"),
		listBreaks:  load("list_breaks"),
		purgeBreaks: load("purge_breaks"),

		writeLock: load("write_lock"),

		server:     load("server"),
		settings:   load("settings"),
		locate:     load("locate"),
		schema:     load("schema"),
		compatible: load("compatible"),
	}
}

// load reads a statement and inserts the clock.
func load(name string) string {
	return strings.ReplaceAll(engine.Statement(files, name), "clock()", clock)
}
