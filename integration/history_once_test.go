package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/sqllock"
)

// What is done with the work for a key: it is taken on, and given back where it fails; or else
const (
	settled  verb = "settled"  // its outcome is remembered from now on
	perhaps  verb = "perhaps"  // it was done, and its outcome may be remembered at any time from then on, or never
	replayed verb = "replayed" // an outcome is answered that another call settled, or may have
)

// onceState is that of the work for one key.
type onceState struct {
	doing  int64 // who is at it; 0: nobody
	result int64 // that is remembered; 0: none
}

// step: work is begun when nobody is at it and nothing is remembered. The first outcome stays, also that of one who was so late
// that another had begun again.
func (s onceState) step(d deed) (onceState, bool) {
	switch d.verb {
	case took:
		return onceState{doing: d.id}, s == onceState{}
	case gave, expired:
		return onceState{result: s.result}, s.doing == d.id
	case perhaps: // never is when it changes nothing any more
		if s.result == 0 {
			s.result = d.result
		}
		return s, true
	case settled:
		return onceState{s.doing, d.result}, s.result == 0
	case replayed:
		return s, s.result != 0 && s.result == d.result
	case declined, saw: // nobody says so here
	}
	return s, false
}

// onceModel is that of all keys, each of which is alone.
func onceModel() porcupine.Model {
	m := deeds(onceState.step)
	m.Partition = func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		of := make(map[int64]int)
		for _, op := range all {
			key := op.Input.(deed).key
			i, ok := of[key]
			if !ok {
				i, of[key], parts = len(parts), len(parts), append(parts, nil)
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	}
	return m
}

func init() {
	chronicle(history{
		name:  "once",
		model: onceModel(),
		act:   actOnce,
		must:  []verb{took, gave, settled, perhaps, replayed, expired},
	})
}

const (
	callsPerKey = 8 // about; later there are a few more
	keysBack    = 6
)

var errHistory = errors.New("the work fails")

// errandOf is one call of Once.
type errandOf struct {
	deed
	fails       bool // the work
	lock        *sqllock.Lock
	begun, done int64 // when the work was; 0: it was not
}

// actOnce wants the work for a key done, of which others have heard at the same time, or before.
func actOnce(a *actor) {
	w := &errandOf{deed: deed{id: a.next.Add(1)}, fails: a.rand.IntN(3) == 0}
	w.key = 1 + keysBack + w.id/callsPerKey
	if a.rand.IntN(3) == 0 {
		w.key -= a.rand.Int64N(keysBack)
	}
	ctx, cancel := a.soon()
	defer cancel()
	call := a.now()
	out, err := a.station.client().Once(ctx, fmt.Sprint(a.name, "/", w.key),
		func(_ context.Context, lock *sqllock.Lock) ([]byte, error) { return a.work(w, lock) })
	a.note(w, call, out, err)
}

// work takes a moment. Where it is time for that its station crashes, so that what it has done isn't written.
func (a *actor) work(w *errandOf, lock *sqllock.Lock) ([]byte, error) {
	w.lock, w.begun = lock, a.now()
	a.trust(lock.Context(), time.Duration(a.rand.IntN(int(4*time.Millisecond))))
	if a.crashes() {
		a.station.crash()
		w.fails = false
	}
	w.done = a.now()
	if w.fails {
		return nil, errHistory
	}
	return strconv.AppendInt(nil, w.id, 10), nil
}

// note records what the call began, what it says, and that its lock was lost where it can't be sure.
func (a *actor) note(w *errandOf, call int64, out sqllock.Outcome, err error) {
	ret, ran := a.now(), w.lock != nil
	add := func(v verb, call, ret int64) {
		d := w.deed
		d.verb = v
		a.add(a.id, call, ret, d)
	}
	since := call
	if ran {
		since = w.done
		add(took, call, w.begun)
	}
	sure := ran && !errors.Is(context.Cause(w.lock.Context()), sqllock.ErrLost)
	switch {
	case err == nil:
		if w.result, err = strconv.ParseInt(string(out.Result), 10, 64); err != nil {
			a.station.t.Error(err)
		}
		add(map[bool]verb{true: replayed, false: settled}[out.Replayed], since, ret)
	case ran && err == errHistory: //nolint:errorlint // wrapped it would be another; and nothing else: the lock was released
		add(gave, since, ret)
	case ran && w.fails:
		sure = false
	case ran:
		sure, w.result = false, w.id
		add(perhaps, since, never)
	case errors.Is(err, sqllock.ErrNotAcquired):
		add(declined, call, ret)
	}
	if ran && !sure {
		add(expired, w.begun, never)
	}
}
