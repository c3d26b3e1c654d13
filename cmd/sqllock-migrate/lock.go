package main

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// lockKind is a flag.
type lockKind struct{ kind lock.Kind }

func (k *lockKind) String() string { return string(k.kind) }
func (k *lockKind) Type() string   { return "kind" }

func (k *lockKind) Set(text string) error {
	if !slices.Contains(lock.Kinds(), lock.Kind(text)) {
		return fmt.Errorf("%q is none of %v", text, lock.Kinds())
	}
	k.kind = lock.Kind(text)
	return nil
}

// locked describes the migration lock of a run.
type locked struct {
	Kind   lock.Kind `json:"kind"` // session or lease
	Waited float64   `json:"waited_ms"`
	For    []string  `json:"for,omitempty"` // the holders that it waited for, one after the other
}

func (a *app) waiting(held *sqllock.HeldError) {
	if held.Holder == "" {
		a.say("waiting: another process is migrating this database")
		return
	}
	text := lock.Describe(held)
	a.say("waiting: another process is migrating this database: %s", text)
	a.waitedFor = append(a.waitedFor, text)
}

func (a *app) locked(kind lock.Kind, waited time.Duration) {
	a.result.Lock = &locked{Kind: kind, Waited: float64(waited) / float64(time.Millisecond), For: a.waitedFor}
	if a.verbose {
		a.say("got the migration lock, a %s, after %v", kind, waited.Round(time.Millisecond))
	}
}

func (a *app) chosen(kind lock.Kind, why error) {
	if a.verbose {
		a.say("taking a %s: %v", kind, why)
	}
}

// logger returns the logger for the lock. It writes errors, and with --verbose also what the lock
// did about other processes.
func (a *app) logger() *slog.Logger {
	level := slog.LevelError
	if a.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
