package sqllock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Limits of group commit.
const (
	mostTogether = 256                   // questions in one statement
	mostFlights  = 4                     // statements under way at once, if they are slow
	slowFlight   = 20 * time.Millisecond // a statement that takes longer may be stuck, and isn't waited for
)

// gather is group commit: while one statement is under way, questions that arrive wait, and go together in the next one,
// with one commit. A question that finds nothing under way goes at once, alone, as its asker's own statement: nobody
// waits for company. Of one key, there is one question in one statement.
type gather[Q, A any] struct {
	ask   func(context.Context, []Q) ([]A, error)
	key   func(Q) dialect.Key
	alone func(error) bool       // of several, one question may be to blame: ask one by one
	begin func() context.Context // for a statement that is nobody's own
	spawn func(func()) bool      // in the background; false: it is closed
	never bool                   // each question goes alone, whatever is under way

	mu      sync.Mutex // guards what follows
	waiting []*question[Q, A]
	flights int
	most    int // of the next flight: after a failure fewer, so that at last each is asked by itself
	hurry   *time.Timer
}

// question is what one caller asks.
type question[Q, A any] struct {
	q      Q
	answer chan outcome[A]
}

type outcome[A any] struct {
	a   A
	err error
}

// do asks, and waits for the answer or the end of ctx: then the question may be under way, and be answered to nobody.
func (g *gather[Q, A]) do(ctx context.Context, q Q) (A, error) {
	if g.never {
		return one(g.ask(ctx, []Q{q}))
	}
	g.mu.Lock()
	if g.flights == 0 && len(g.waiting) == 0 {
		g.flights++
		g.mu.Unlock()
		defer g.land()
		return one(g.ask(ctx, []Q{q}))
	}
	me := g.wait(q)
	g.mu.Unlock()
	select {
	case o := <-me.answer:
		return o.a, o.err
	case <-ctx.Done():
		g.withdraw(me)
		var none A
		return none, ctx.Err()
	}
}

// doAll asks several at once, of keys that differ: where nothing is under way in one statement, or as few as they go in. On an
// error any of them may have been carried out.
func (g *gather[Q, A]) doAll(ctx context.Context, qs []Q) ([]A, error) {
	answers := make([]A, 0, len(qs))
	for chunk := range slices.Chunk(qs, mostTogether) {
		some, err := g.doSome(ctx, chunk)
		if err != nil {
			return nil, err
		}
		answers = append(answers, some...)
	}
	return answers, nil
}

// doSome is doAll of so few that they fit into one statement.
func (g *gather[Q, A]) doSome(ctx context.Context, qs []Q) (answers []A, err error) {
	if g.never {
		for i := 0; err == nil && i < len(qs); i++ {
			var a A
			a, err = one(g.ask(ctx, qs[i:i+1]))
			answers = append(answers, a)
		}
		return answers, err
	}
	g.mu.Lock()
	if g.flights == 0 && len(g.waiting) == 0 {
		g.flights++
		g.mu.Unlock()
		defer g.land()
		return g.ask(ctx, qs)
	}
	var ours []*question[Q, A]
	for _, q := range qs {
		ours = append(ours, g.wait(q))
	}
	g.mu.Unlock()
	for _, me := range ours {
		select {
		case o := <-me.answer:
			answers, err = append(answers, o.a), errors.Join(err, o.err)
		case <-ctx.Done():
			g.withdraw(me)
			err = errors.Join(err, ctx.Err())
		}
	}
	return answers, err
}

// idle tells whether a question would go at once.
func (g *gather[Q, A]) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flights == 0
}

// wait stands in line for the next flight. The caller holds mu.
func (g *gather[Q, A]) wait(q Q) *question[Q, A] {
	me := &question[Q, A]{q: q, answer: make(chan outcome[A], 1)}
	g.waiting = append(g.waiting, me)
	g.await()
	return me
}

// join waits for the next flight where there is something to wait for. Nil: the question would go at once, alone.
func (g *gather[Q, A]) join(q Q) *question[Q, A] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.never || g.flights == 0 && len(g.waiting) == 0 {
		return nil
	}
	return g.wait(q)
}

// one is the answer to a single question.
func one[A any](answers []A, err error) (a A, _ error) {
	if err != nil {
		return a, err
	}
	return answers[0], nil
}

// await sees to it that those who wait don't do so for long behind a slow statement. The caller holds mu.
func (g *gather[Q, A]) await() {
	if g.flights < mostFlights && g.hurry == nil {
		g.hurry = time.AfterFunc(slowFlight, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.hurry = nil
			if g.flights < mostFlights {
				g.launch()
			}
		})
	}
}

// withdraw takes the question back. False: it is under way, or answered.
func (g *gather[Q, A]) withdraw(me *question[Q, A]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, me)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}

// land ends a flight, and sends off those who have waited for it.
func (g *gather[Q, A]) land() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flights--
	if g.hurry != nil {
		g.hurry.Stop()
		g.hurry = nil
	}
	g.launch()
}

// launch sends those off who wait, first come first served. The caller holds mu.
func (g *gather[Q, A]) launch() {
	if g.most == 0 {
		g.most = mostTogether
	}
	var board, stay []*question[Q, A]
	keys := make(map[dialect.Key]bool)
	for _, w := range g.waiting {
		if k := g.key(w.q); len(board) < g.most && !keys[k] {
			keys[k] = true
			board = append(board, w)
		} else {
			stay = append(stay, w)
		}
	}
	g.waiting = stay
	if len(board) > 0 {
		g.flights++
		if !g.spawn(func() { g.fly(board) }) {
			g.flights--
			for _, w := range board {
				w.answer <- outcome[A]{err: errClosed}
			}
		}
	}
	if len(stay) > 0 {
		g.await()
	}
}

// fly asks for several in one statement, and tells each his answer. Where that fails and one of them may be to blame,
// each is asked by himself.
func (g *gather[Q, A]) fly(board []*question[Q, A]) {
	ctx := g.begin()
	defer g.land()
	qs := make([]Q, len(board))
	for i, w := range board {
		qs[i] = w.q
	}
	answers, err := g.ask(ctx, qs)
	g.learn(err)
	single := err != nil && len(board) > 1 && g.alone(err)
	for i, w := range board {
		switch {
		case single:
			a, err := one(g.ask(ctx, qs[i:i+1]))
			w.answer <- outcome[A]{a, err}
		case err != nil:
			w.answer <- outcome[A]{err: err}
		default:
			w.answer <- outcome[A]{a: answers[i]}
		}
	}
}

// learn makes the next flight smaller after a failure, and larger again after a success.
func (g *gather[Q, A]) learn(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.most = max(1, g.most/2)
	} else {
		g.most = min(2*g.most, mostTogether)
	}
}
