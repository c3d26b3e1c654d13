package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// The verbs of once.Do. A call takes a key's lock to begin the work, and releases it if the work
// fails. The further verbs are:
const (
	remembered verb = "remembered" // the work's outcome is remembered from now on
	perhaps    verb = "perhaps"    // the work was done; its outcome may be remembered at any later time, or never
	replayed   verb = "replayed"   // a call returned an outcome that another call remembered, or may have
)

// onceState is the state of the work for one key.
type onceState struct {
	doing  int64 // the call that does the work, or 0
	result int64 // the remembered result, or 0
}

// step allows work to begin if no call does it and no outcome is remembered. The first outcome
// stays, even if its call was so late that another call had begun the work again.
func (s onceState) step(d historyOp) (onceState, bool) {
	switch d.verb {
	case took:
		return onceState{doing: d.id}, s == onceState{}
	case gave, expired:
		return onceState{result: s.result}, s.doing == d.id
	case perhaps: // if there is an outcome already, this changes nothing, which allows for "never"
		if s.result == 0 {
			s.result = d.result
		}
		return s, true
	case remembered:
		return onceState{s.doing, d.result}, s.result == 0
	case replayed:
		return s, s.result != 0 && s.result == d.result
	case declined, saw: // once.Do records none of these, or they do not reach step
	}
	return s, false
}

// onceModel is the model of all keys. Keys are independent of each other.
func onceModel() porcupine.Model {
	m := historyOps(onceState.step)
	m.Partition = func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		of := make(map[int64]int)
		for _, op := range all {
			key := op.Input.(historyOp).key
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
	newHistory(history{
		name:  "once",
		model: onceModel(),
		act:   actOnce,
		must:  []verb{took, gave, remembered, perhaps, replayed, expired},
	})
}

const (
	callsPerKey = 8 // new calls for a key, before the next key; old keys get a few more calls
	keysBack    = 6 // how many keys back such a later call may go
)

var errHistory = errors.New("the work fails")

// onceOp is one call of once.Do.
type onceOp struct {
	historyOp
	fails       bool // whether the work fails
	lock        *sqllock.Lock
	begun, done int64 // when the work began and ended, or 0 if this call did not do it
}

// actOnce calls once.Do for a key that other clients use at the same time, or have used before.
func actOnce(a *historyClient) {
	w := &onceOp{historyOp: historyOp{id: a.next.Add(1)}, fails: a.rand.IntN(3) == 0}
	w.key = 1 + keysBack + w.id/callsPerKey
	if a.rand.IntN(3) == 0 {
		w.key -= a.rand.Int64N(keysBack)
	}
	ctx, cancel := a.waitContext()
	defer cancel()
	call := a.now()
	out, err := once.Do(ctx, a.clientProcess.client(), fmt.Sprint(a.name, "/", w.key),
		func(_ context.Context, lock *sqllock.Lock) ([]byte, error) { return a.work(w, lock) })
	a.recordCall(w, call, out, err)
}

// work takes a moment. If a crash is due, the client process crashes, so that the work's outcome
// cannot be written.
func (a *historyClient) work(w *onceOp, lock *sqllock.Lock) ([]byte, error) {
	w.lock, w.begun = lock, a.now()
	a.checkValidity(lock.Context(), time.Duration(a.rand.IntN(int(4*time.Millisecond))))
	if a.crashes() {
		a.clientProcess.crash()
		w.fails = false
	}
	w.done = a.now()
	if w.fails {
		return nil, errHistory
	}
	return strconv.AppendInt(nil, w.id, 10), nil
}

// recordCall records the beginning of the work if this call did it, the result of the call, and the
// loss of its lock unless the release is certain.
func (a *historyClient) recordCall(w *onceOp, call int64, out once.Outcome, err error) {
	ret, ran := a.now(), w.lock != nil
	add := func(v verb, call, ret int64) {
		d := w.historyOp
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
			a.clientProcess.t.Error(err)
		}
		add(map[bool]verb{true: replayed, false: remembered}[out.Replayed], since, ret)
	case ran && err == errHistory: //nolint:errorlint // unwrapped means that the lock was released without an error
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
