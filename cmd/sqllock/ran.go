package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// kindChild is the kind of a failure that is the child's own.
const kindChild = "child"

// ran is what run and elect have done, for --json.
type ran struct {
	Names   []string `json:"names"`
	For     []string `json:"for,omitempty"` // the holders that were waited for, one after the other
	Waited  float64  `json:"waited_ms"`
	Fences  []int64  `json:"fences,omitempty"`
	Skipped bool     `json:"skipped,omitempty"` // there was nothing to do (--once, --at)
	Exit    *int     `json:"exit,omitempty"`    // the child's
	Signal  string   `json:"signal,omitempty"`  // that killed the child
	Stopped string   `json:"stopped,omitempty"` // why the child was stopped
}

func (r *ran) ended(end ended) {
	status := end.Status()
	r.Exit = &status
	if end.Signal != 0 {
		r.Signal = end.Signal.String()
	}
	switch {
	case end.stopped != nil:
		r.Stopped = bare(end.stopped)
	case end.timeout:
		r.Stopped = "timeout"
	}
}

// waitsFor records the holder that is waited for.
func (a *app) waitsFor(held *sqllock.HeldError) {
	if held.Holder != "" {
		a.document.Run.For = append(a.document.Run.For, lock.Describe(held))
	}
}

// acquired reports that the lock is held.
func (a *app) acquired(held *holding, waited time.Duration) {
	a.document.Run.Waited = float64(waited) / float64(time.Millisecond)
	e := event{Event: "acquired", Name: strings.Join(held.names, "\n")}
	what := fmt.Sprintf("%q", held.names)
	a.document.Run.Fences = held.fences
	if len(held.fences) == 1 {
		e.Fence = held.fences[0]
		what = fmt.Sprintf("%q with fence %d", held.names[0], e.Fence)
	}
	e.Message = fmt.Sprintf("acquired %s after %v", what, waited.Round(time.Millisecond))
	a.reporter().emit(detail, e)
}

// released releases the lock and returns the error with which the command ends.
func (a *app) released(held *holding, err error) error {
	broken := errors.Is(err, errBroken)
	switch failed := held.release(context.Background()); {
	case errors.Is(failed, sqllock.ErrLost):
		if lost := new(childError); !errors.As(err, &lost) || lost.kind == kindChild {
			return &childError{kind: "lost", status: exitLost, text: bare(failed) + "; the command had ended by then"}
		}
	case failed != nil && !broken:
		a.reporter().emit(problem, event{Event: "log", Message: failed.Error()})
	case failed == nil:
		a.reporter().emit(detail, event{
			Event: "released", Name: strings.Join(held.names, "\n"),
			Message: fmt.Sprintf("released %q", held.names),
		})
	}
	return err
}

// verdict returns the error with which a command ends whose child has ended.
func verdict(end ended, timeout time.Duration) error {
	switch {
	case end.stopped != nil:
		return &childError{kind: "lost", status: exitLost, text: fmt.Sprintf("the command was stopped (%v): %s",
			end.Exit, bare(end.stopped))}
	case end.timeout:
		return &childError{kind: "timeout", status: exitTimeout, text: fmt.Sprintf("the command was stopped because "+
			"it ran for longer than %v (%v)", timeout, end.Exit)}
	case end.Status() != 0:
		text := "the command ended: " + end.Exit.String()
		return &childError{kind: kindChild, status: end.Status(), text: text, told: true}
	}
	return nil
}
