package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// event is something that happened while run or elect worked. Message says it for people; the other
// fields are for programs. Fields that don't apply to an event are left out.
type event struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // what happened, in a word or two
	Name    string    `json:"name,omitempty"`
	Fence   int64     `json:"fence,omitempty"`
	Held    *heldBy   `json:"held,omitempty"` // by whom the lock is held that is waited for
	PID     int       `json:"pid,omitempty"`
	Signal  string    `json:"signal,omitempty"`
	Exit    *int      `json:"exit,omitempty"`
	Left    *float64  `json:"left_ms,omitempty"` // until another process can get the lock
	Message string    `json:"message"`
}

// heldBy is the holder of a lock that is waited for.
type heldBy struct {
	Holder    string     `json:"holder,omitempty"`
	Note      string     `json:"note,omitempty"`
	Fence     int64      `json:"fence,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	Remaining float64    `json:"remaining_ms,omitempty"` // until its lease ends, unless renewed
	Queued    bool       `json:"queued,omitempty"`       // it doesn't hold the lock yet: it is first in the queue
}

// importance says who wants to know of an event.
type importance int

const (
	detail  importance = iota // with --verbose
	notable                   // without --quiet
	problem                   // always
)

// reporter writes events to stderr: as lines for people, or as lines of JSON.
type reporter struct {
	a       *app
	asJSON  bool
	session bool // the lock is a session lock, whose holder has no fence
	mu      sync.Mutex
}

func (a *app) reporter() *reporter {
	if a.report == nil {
		a.report = &reporter{a: a}
	}
	return a.report
}

func (r *reporter) emit(of importance, e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asJSON {
		e.Time = time.Now()
		if line, err := json.Marshal(e); err == nil {
			_, _ = fmt.Fprintf(r.a.stderr, "%s\n", line)
		}
		return
	}
	switch {
	case r.a.json, of == detail && !r.a.verbose, of < problem && r.a.quiet:
	default:
		_, _ = fmt.Fprintf(r.a.stderr, "sqllock: %s\n", e.Message)
	}
}

// waiting reports for whom the command waits.
func (r *reporter) waiting(held *sqllock.HeldError) {
	if held.Outage != nil { // the Client's log says so
		return
	}
	h := holderOf(held, r.session)
	e := event{Event: "waiting", Name: held.Name, Held: h}
	switch {
	case h.Queued:
		e.Message = fmt.Sprintf("waiting for %q, behind %s, which is first in the queue", held.Name,
			lock.Describe(held))
	case held.Holder == "" && held.Remaining > 0:
		e.Message = fmt.Sprintf("waiting for %q, which nobody holds and nobody may take for another %v "+
			"(--hold-at-least or --lock-delay of its last holder)", held.Name, held.Remaining.Round(time.Millisecond))
	case held.Fence != 0:
		e.Message = fmt.Sprintf("waiting for %q, held by %s, fence %d", held.Name, lock.Describe(held), held.Fence)
	default:
		e.Message = fmt.Sprintf("waiting for %q, held by %s", held.Name, lock.Describe(held))
	}
	r.emit(notable, e)
}

func holderOf(held *sqllock.HeldError, session bool) *heldBy {
	h := &heldBy{
		Holder: held.Holder, Note: held.Note, Fence: held.Fence,
		Remaining: float64(held.Remaining) / float64(time.Millisecond),
	}
	h.Queued = held.Fence == 0 && held.Since.IsZero() && held.Connected.IsZero() && !session && held.Holder != ""
	since := held.Since
	if since.IsZero() {
		since = held.Connected
	}
	if !since.IsZero() {
		h.Since = &since
	}
	return h
}

// eventFormat is the flag --events.
type eventFormat struct{ json bool }

func (f *eventFormat) String() string {
	if f.json {
		return "json"
	}
	return "text"
}

func (f *eventFormat) Type() string { return "format" }

func (f *eventFormat) Set(text string) error {
	if text != "text" && text != "json" {
		return cli.Usagef("%q is neither text nor json", text)
	}
	f.json = text == "json"
	return nil
}

// logHandler reports what the Client logs.
type logHandler struct {
	report *reporter
	level  slog.Level
	attrs  string
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	text := strings.TrimPrefix(record.Message, "sqllock: ")
	if text == "locks lost" { // the command says that itself
		return nil
	}
	var b strings.Builder
	b.WriteString(text)
	record.Attrs(func(attr slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", attr.Key, attr.Value)
		return true
	})
	b.WriteString(h.attrs)
	h.report.emit(problem, event{Event: "log", Message: b.String()})
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, attr := range attrs {
		with.attrs += fmt.Sprintf(" %s=%v", attr.Key, attr.Value)
	}
	return &with
}

func (h *logHandler) WithGroup(string) slog.Handler { return h }
