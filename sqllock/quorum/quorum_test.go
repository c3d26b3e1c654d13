package quorum_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// cluster is the independent databases of a quorum.
type cluster struct {
	*testing.T
	dbs []*sqllocktest.Dialect
}

const (
	quorumTTL = 2 * time.Second
	quorumMax = 10 * time.Second
)

// quorums runs f in a bubble with n empty databases.
func quorums(t *testing.T, n int, f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{T: t}
		for range n {
			c.dbs = append(c.dbs, sqllocktest.New())
		}
		f(t, c)
	})
}

// clients returns the Clients of one process.
func (c *cluster) clients(holder string, opts ...func(*sqllock.Options)) (clients []*sqllock.Client) {
	c.Helper()
	for _, db := range c.dbs {
		clients = append(clients, client(c.T, db, holder, opts...))
	}
	return clients
}

func (c *cluster) options() *quorum.Options {
	return &quorum.Options{TTL: quorumTTL, MaxTTL: quorumMax}
}

// process returns the quorum of a process.
func (c *cluster) process(holder string) *quorum.Quorum {
	c.Helper()
	q, err := quorum.New(c.Context(), c.clients(holder), c.options())
	if err != nil {
		c.Fatal(err)
	}
	return q
}

// grown returns the quorums of two processes, when the votes count.
func (c *cluster) grown() (a, b *quorum.Quorum) {
	c.Helper()
	a, b = c.process("a"), c.process("b")
	time.Sleep(quorumMax + time.Second) // registering may have taken a moment
	return a, b
}

func (c *cluster) take(q *quorum.Quorum, opts ...quorum.Option) *quorum.Lock {
	c.Helper()
	l, err := q.TryAcquire(c.Context(), "x", opts...)
	if err != nil {
		c.Fatal(err)
	}
	if l.Context().Err() != nil || l.Name() != "x" {
		c.Fatalf("lock %q: its context ended at once: %v", l.Name(), context.Cause(l.Context()))
	}
	return l
}

// waitFor waits until another holds the lock.
func (c *cluster) waitFor(q *quorum.Quorum) *quorum.Lock {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	l, err := q.Acquire(ctx, "x")
	if err != nil {
		c.Fatal(err)
	}
	return l
}

func (c *cluster) refused(q *quorum.Quorum) error {
	c.Helper()
	l, err := q.TryAcquire(c.Context(), "x")
	if err == nil {
		c.Fatalf("got a lock with fence %d that another holds", l.Fence())
	}
	return err
}

func (c *cluster) release(l *quorum.Lock) {
	c.Helper()
	if err := l.Release(c.Context()); err != nil {
		c.Error(err)
	}
}

// down makes databases unreachable.
func (c *cluster) down(nodes ...int) {
	for _, n := range nodes {
		c.dbs[n].Outage(true)
	}
}

func (c *cluster) up() {
	for _, db := range c.dbs {
		db.Outage(false)
		db.Delay(sqllocktest.Any, 0)
	}
}

// votes returns the number of databases in which the lock is held.
func (c *cluster) votes() (held int) {
	c.Helper()
	for _, db := range c.dbs {
		rows, err := db.List(c.Context(), dialect.Key{}, true, 100)
		if err != nil {
			c.Fatal(err)
		}
		for _, row := range rows {
			if row.Name == "x" && row.Lease == dialect.LeaseLive {
				held++
			}
		}
	}
	return held
}

func TestQuorum(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		first := c.take(a, sqllock.WithNote("build 7"))
		synctest.Wait() // for the third vote, which nobody waits for
		held, ok := errors.AsType[*sqllock.HeldError](c.refused(b))
		if !ok || held.Holder != "a" || held.Note != "build 7" {
			t.Errorf("TryAcquire of a lock that another holds: %+v", held)
		}
		time.Sleep(10 * quorumTTL) // the heartbeats keep it
		synctest.Wait()
		if first.Context().Err() != nil || c.votes() != 3 {
			t.Errorf("after ten TTLs: %v, %d votes", context.Cause(first.Context()), c.votes())
		}
		wantErr(t, "TryAcquire", c.refused(b), sqllock.ErrNotAcquired)
		c.release(first)
		wantErr(t, "cause", context.Cause(first.Context()), sqllock.ErrNotHeld)
		wantErr(t, "second Release", first.Release(t.Context()), sqllock.ErrNotHeld)
		second := c.take(b)
		if second.Fence() <= first.Fence() {
			t.Errorf("fence %d after %d", second.Fence(), first.Fence())
		}
		c.release(second)
		synctest.Wait()
		if n := c.votes(); n != 0 {
			t.Errorf("%d votes are left after the release", n)
		}
	})
}

// The fence is stored in the rows of a majority, whatever their clocks say.
func TestQuorumFenceGrows(t *testing.T) {
	quorums(t, 5, func(t *testing.T, c *cluster) {
		for i, db := range c.dbs {
			db.Advance(time.Duration(i*i) * time.Hour)
		}
		a, b := c.grown()
		last := int64(0)
		for _, down := range [][]int{{}, {0, 1}, {3, 4}, {4, 2}, {0, 4}, {3, 4}, {1, 2}, {3, 4}, {}, {2, 4}} {
			c.down(down...)
			for _, q := range []*quorum.Quorum{a, b} {
				l := c.waitFor(q)
				if l.Fence() <= last {
					t.Errorf("without %v: fence %d after %d", down, l.Fence(), last)
				}
				last = l.Fence()
				c.release(l)
			}
			c.up()
			time.Sleep(2 * quorumTTL)
		}
	})
}

func TestQuorumMinority(t *testing.T) {
	for name, fail := range map[string]func(db *sqllocktest.Dialect){
		"down":        func(db *sqllocktest.Dialect) { db.Outage(true) },
		"partitioned": func(db *sqllocktest.Dialect) { db.Delay(sqllocktest.Any, time.Hour) },
		"slow":        func(db *sqllocktest.Dialect) { db.Delay(sqllocktest.Any, quorumTTL/10) },
		"mute":        func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.Any, 1000) },
	} {
		for node := range 3 {
			t.Run(fmt.Sprint(name, node), func(t *testing.T) {
				quorums(t, 3, func(t *testing.T, c *cluster) {
					a, b := c.grown()
					fail(c.dbs[node])
					for _, q := range []*quorum.Quorum{a, b, a} {
						began := time.Now()
						l := c.take(q)
						other := a
						if q == a {
							other = b
						}
						wantErr(t, "TryAcquire", c.refused(other), sqllock.ErrNotAcquired)
						time.Sleep(2 * quorumTTL)
						if l.Context().Err() != nil {
							t.Errorf("lost: %v", context.Cause(l.Context()))
						}
						releasing := time.Now()
						c.release(l)
						if took := time.Since(began) - 2*quorumTTL; took > quorumTTL/2 {
							t.Errorf("the minority has delayed it by %s", took)
						}
						if took := time.Since(releasing); took > 0 {
							t.Errorf("the minority has delayed the release by %s", took)
						}
						time.Sleep(4 * quorumTTL)
					}
					c.dbs[node].Delay(sqllocktest.Any, 0) // otherwise Close waits for it
					c.dbs[node].Outage(false)
				})
			})
		}
	}
}

// If a majority is gone, the holder notices it before anybody else can have the lock, and releases
// the other votes.
func TestQuorumLost(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		l := c.take(a)
		c.down(0)
		time.Sleep(3 * quorumTTL)
		if l.Context().Err() != nil {
			t.Fatal("lost with one of three:", context.Cause(l.Context()))
		}
		c.down(1)
		began := time.Now()
		select {
		case <-l.Context().Done():
		case <-time.After(time.Hour):
			t.Error("it is trusted without a majority")
		}
		if took := time.Since(began); took > quorumTTL {
			t.Errorf("it was trusted for %s without a majority", took)
		}
		wantErr(t, "cause", context.Cause(l.Context()), sqllock.ErrLost)
		c.up()
		next := c.waitFor(b)
		if next.Fence() <= l.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), l.Fence())
		}
		wantErr(t, "Release", l.Release(t.Context()), sqllock.ErrLost)
		wantErr(t, "second Release", l.Release(t.Context()), sqllock.ErrNotHeld)
		if next.Context().Err() != nil {
			t.Error("the late release has taken the next one's lock")
		}
		c.release(next)
	})
}

// Votes for a lock that isn't granted are released, even if the answer comes late.
func TestQuorumReleasesVotes(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		c.down(1)
		c.dbs[2].Delay(sqllocktest.OpAcquire, quorumTTL/2)
		err := c.refused(a)
		if errors.Is(err, sqllock.ErrNotAcquired) || !strings.Contains(err.Error(), "database 2 (memory)") ||
			!strings.Contains(err.Error(), "database 3 (memory): no answer in time") {
			t.Errorf("TryAcquire without a majority: %v", err)
		}
		c.up()
		c.dbs[2].Delay(sqllocktest.OpAcquire, 0)
		time.Sleep(quorumTTL)
		synctest.Wait()
		if n := c.votes(); n != 0 {
			t.Errorf("%d votes are left", n)
		}
		c.release(c.take(b))

		c.down(0, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = a.Acquire(ctx, "x")
		wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
		wantErr(t, "Acquire", err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "outage") {
			t.Errorf("it doesn't say why: %v", err)
		}
		c.up()
		time.Sleep(quorumTTL)
		if n := c.votes(); n != 0 {
			t.Errorf("%d votes are left", n)
		}
	})
}

// Two callers get some of the votes each. Neither has a majority, or one has, and they don't keep
// each other from it for ever.
func TestQuorumRace(t *testing.T) {
	quorums(t, 5, func(t *testing.T, c *cluster) {
		var processes []*quorum.Quorum
		for i := range 4 {
			processes = append(processes, c.process(fmt.Sprint(i)))
		}
		time.Sleep(quorumMax)
		for _, db := range c.dbs {
			db.Delay(sqllocktest.OpAcquire, time.Millisecond)
		}
		type turn struct {
			fence    int64
			from, to time.Time
		}
		turns := make(chan turn, 100)
		for _, q := range processes {
			go func() {
				for range 5 {
					l := c.waitFor(q)
					from := time.Now()
					time.Sleep(20 * time.Millisecond)
					turns <- turn{l.Fence(), from, time.Now()}
					c.release(l)
				}
				turns <- turn{}
			}()
		}
		last := turn{}
		for running := len(processes); running > 0; {
			this := <-turns
			switch {
			case this.fence == 0:
				running--
			case this.fence <= last.fence || this.from.Before(last.to):
				t.Errorf("fence %d after %d; it began %s after the one before ended",
					this.fence, last.fence, this.from.Sub(last.to))
			default:
				last = this
			}
		}
		c.up()
		for _, db := range c.dbs {
			db.Delay(sqllocktest.OpAcquire, 0)
		}
	})
}

func TestQuorumOnWait(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		l := c.take(a)
		var seen []*sqllock.HeldError
		time.AfterFunc(quorumTTL, func() { c.release(l) })
		onWait := sqllock.OnWait(func(held *sqllock.HeldError) { seen = append(seen, held) })
		next, err := b.Acquire(t.Context(), "x", onWait)
		if err != nil {
			t.Fatal(err)
		}
		c.release(next)
		if len(seen) != 1 || seen[0].Holder != "a" || seen[0].Fence != l.Fence() {
			t.Errorf("OnWait was called %d times: %+v", len(seen), seen)
		}
	})
}

func TestQuorumRefuses(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		three := c.clients("a")
		five := append(c.clients("b"), three...)
		same := client(t, c.dbs[0], "same")
		tableless := client(t, sqllocktest.New(), "c", func(o *sqllock.Options) { o.WithoutTables = true })
		for name, bad := range map[string]struct {
			clients []*sqllock.Client
			opts    *quorum.Options
			says    string
		}{
			"none":         {nil, nil, "0 Clients"},
			"one":          {three[:1], nil, "3 at least"},
			"even":         {five[:4], nil, "4 Clients; it must be an odd number"},
			"nil":          {[]*sqllock.Client{three[0], nil, three[2]}, nil, "Client 2 of the Quorum is nil"},
			"twice":        {[]*sqllock.Client{three[0], three[1], three[0]}, nil, "Clients 1 and 3"},
			"same":         {[]*sqllock.Client{three[0], three[1], same}, nil, "same database"},
			"all the same": {[]*sqllock.Client{three[0], five[0], same}, nil, "same database"},
			"tables":       {[]*sqllock.Client{three[0], three[1], tableless}, nil, "sqllock-migrate own up"},
			"name":         {three, &quorum.Options{Name: " "}, "begins or ends with a space"},
			"long MaxTTL":  {three, &quorum.Options{MaxTTL: 25 * time.Hour}, "MaxTTL of the Quorum is 25h"},
			"short MaxTTL": {three, &quorum.Options{MaxTTL: -1}, "MaxTTL of the Quorum is -1ns"},
			"long TTL":     {three, &quorum.Options{TTL: time.Hour}, "TTL of the Quorum is 1h"},
			"short TTL":    {three, &quorum.Options{TTL: time.Millisecond}, "TTL of the Quorum is 1ms"},
		} {
			_, err := quorum.New(t.Context(), bad.clients, bad.opts)
			if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), bad.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		q, err := quorum.New(t.Context(), three, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, opts := range map[string][]quorum.Option{
			"": nil, "nil": {nil},
			"note": {sqllock.WithNote("\n")}, "short": {sqllock.WithTTL(time.Millisecond)},
			"long": {sqllock.WithTTL(time.Minute + 1)},
		} {
			_, err := q.TryAcquire(t.Context(), name, opts...)
			wantErr(t, name, err, sqllock.ErrInvalid)
			_, err = q.Acquire(t.Context(), name, opts...)
			wantErr(t, name, err, sqllock.ErrInvalid)
		}
	})
}

// All processes have to agree on what the quorum is.
func TestQuorumOfOthers(t *testing.T) {
	quorums(t, 5, func(t *testing.T, c *cluster) {
		clients := c.clients("a")
		if _, err := quorum.New(t.Context(), clients, c.options()); err != nil {
			t.Fatal(err)
		}
		longer := c.options()
		longer.MaxTTL++
		for name, bad := range map[string]struct {
			clients []*sqllock.Client
			opts    *quorum.Options
		}{"of three": {clients[:3], c.options()}, "longer": {clients, longer}} {
			_, err := quorum.New(t.Context(), bad.clients, bad.opts)
			wantErr(t, name, err, sqllock.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), "another Name") {
				t.Errorf("%s: %v", name, err)
			}
		}
		other := c.options()
		other.Name = "another"
		if _, err := quorum.New(t.Context(), clients[:3], other); err != nil {
			t.Error(err)
		}
	})
}

func TestQuorumClosed(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		clients := c.clients("a")
		q, err := quorum.New(t.Context(), clients, c.options())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(quorumMax)
		l := c.take(q)
		synctest.Wait() // until the third vote is there too
		for i, client := range clients[:2] {
			if l.Context().Err() != nil {
				t.Errorf("lost with %d of 3 Clients closed: %v", i, context.Cause(l.Context()))
			}
			if err := client.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, want := range []error{sqllock.ErrLost, sqllock.ErrClosed} {
			wantErr(t, "cause", context.Cause(l.Context()), want)
			wantErr(t, "cause", context.Cause(l.Context()), want)
		}
		_, err = q.Acquire(t.Context(), "x")
		wantErr(t, "Acquire", err, sqllock.ErrClosed)
		wantErr(t, "Release", l.Release(t.Context()), sqllock.ErrLost)
		_, err = quorum.New(t.Context(), clients, c.options())
		wantErr(t, "New", err, sqllock.ErrClosed)
	})
}

// A caller whose ctx ends returns at once, and votes that it gets afterwards are released.
func TestQuorumCancelled(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		for _, op := range []sqllocktest.Op{sqllocktest.OpAcquire, sqllocktest.OpGet, sqllocktest.OpAdvanceFence} {
			for _, db := range c.dbs {
				db.Delay(op, 100*time.Millisecond)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			began := time.Now()
			_, err := a.TryAcquire(ctx, "x")
			cancel()
			wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
			wantErr(t, "TryAcquire", err, context.DeadlineExceeded)
			if took := time.Since(began); took != 50*time.Millisecond {
				t.Errorf("it took %s", took)
			}
			for _, db := range c.dbs {
				db.Delay(op, 0)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := c.votes(); n != 0 {
				t.Errorf("%s: %d votes are left", op, n)
			}
		}
		c.release(c.take(b))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("no more"))
		_, err := b.TryAcquire(ctx, "x")
		if !errors.Is(err, sqllock.ErrNotAcquired) || !strings.Contains(err.Error(), "no more") {
			t.Errorf("TryAcquire with a ctx that has ended: %v", err)
		}
	})
}
