package quorum

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// A database that lost its data has forgotten which votes it gave and would give them again, so
// that there could be two majorities (Redlock's "delayed restarts"). So each database has a
// membership row for the quorum: a lock that was taken once and is barred for ever. The start of
// its bar says since when the database takes part, by that database's clock, and its note
// identifies the database. The row is lost together with the data, and a new row is made, which is
// young.
//
// A vote counts only if the row, read after the vote was given, is older than any lock may last.
// The database has then had its data since before the vote, and all votes are over that it gave
// before it lost any data.

// errYoung means that the database's votes don't count yet.
var errYoung = fmt.Errorf("%w: it takes part for too short a time", sqllock.ErrNotAcquired)

// member is a database of the quorum.
type member struct {
	q      *Quorum
	c      recipe.Client[*sqllock.Lock]
	number int // from 1

	eligible atomic.Bool // its last vote counted

	failure atomic.Pointer[error] // the error of the database's last answer; nil if it succeeded

	silent atomic.Bool  // it did not answer in time when it was last asked
	asked  atomic.Int64 // when it was asked since then, in nanoseconds from the quorum's start
}

// askSilent is how often a silent database is asked. Each call may occupy a connection for some
// time.
const askSilent = time.Second

// absent reports whether the other databases have to do without it for now.
func (m *member) absent() bool {
	if !m.silent.Load() {
		return false
	}
	last, since := m.asked.Load(), int64(time.Since(m.q.began))
	return since-last < int64(askSilent) || !m.asked.CompareAndSwap(last, since)
}

// answered records whether the database answered in time.
func (m *member) answered(in bool) {
	if !in && !m.silent.Load() {
		m.asked.Store(int64(time.Since(m.q.began)))
	}
	m.silent.Store(!in)
}

// probe finds out whether a silent member answers again. It may take its full time even if the
// round is over earlier; otherwise a member that is a little slower than those that refuse would be
// taken for silent for ever.
func (m *member) probe(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err := m.checkEligible(ctx)
	m.answered(ctx.Err() == nil)
	return err
}

func (m *member) String() string {
	return fmt.Sprintf("database %d (%s)", m.number, m.c.Store().Name())
}

// failed adds to the error which database it is from.
func (m *member) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", m, err)
}

// fingerprint returns what all users of the quorum must agree on. A membership row's note has it
// before the database's id.
func (q *Quorum) fingerprint() string {
	return fmt.Sprintf("one of %d databases, for locks of %s at most, ", len(q.members), q.opts.MaxTTL)
}

// checkEligible reads the database's membership row, and creates it if there is none. It returns
// nil if the database's votes count, and errYoung if they will count later.
func (m *member) checkEligible(ctx context.Context) error {
	row, err := m.row(ctx)
	if err == nil {
		err = m.checkAge(row)
	}
	m.eligible.Store(err == nil)
	return err
}

// registrations bounds how often a membership row is created that others delete.
const registrations = 3

func (m *member) row(ctx context.Context) (dialect.Row, error) {
	for range registrations {
		row, err := m.readRow(ctx)
		if err != nil || row.Exists && row.FreeIn > 0 {
			return row, err
		}
		if err := m.register(ctx); err != nil {
			return row, err
		}
	}
	return dialect.Row{}, m.failed(errors.New("its membership row of the quorum was deleted repeatedly"))
}

// readRow reads the database's membership row.
func (m *member) readRow(ctx context.Context) (dialect.Row, error) {
	return asked(ctx, m, func(ctx context.Context) (dialect.Row, error) {
		return store.One(m.c.Store().Get(ctx, []dialect.Key{{Name: m.q.opts.Name, Slot: request.SlotMember}}))
	})
}

// memberID returns the database's id if it takes part in this quorum.
func (m *member) memberID(row dialect.Row) (string, error) {
	id, agreed := strings.CutPrefix(row.Note, m.q.fingerprint())
	if !agreed {
		return "", fail.Invalid("%s takes part in quorum %q as %q, and here it would be %q: all processes must use "+
			"the same databases and the same MaxTTL; to change that, stop them all and give the Quorum another Name, "+
			"or take the database out by DELETE FROM sqllock_locks WHERE name = '%s' AND slot = %d "+
			"(its votes count again after MaxTTL)", m, m.q.opts.Name,
			row.Note, m.q.fingerprint()+"…", strings.ReplaceAll(m.q.opts.Name, "'", "''"), request.SlotMember)
	}
	return id, nil
}

// checkAge returns nil if the database's votes count.
func (m *member) checkAge(row dialect.Row) error {
	id, err := m.memberID(row)
	if err != nil {
		return err
	}
	if other := m.q.sameMember(m, id); other != nil {
		return m.q.sameDatabase(other, m)
	}
	age := request.Forever - row.FreeIn
	if left := m.q.opts.MaxTTL - age; left > 0 {
		return fmt.Errorf("%s: %w: for %s, since it was new or had lost its data; its votes count in %s",
			m, errYoung, age.Round(time.Millisecond), left.Round(time.Millisecond))
	}
	return nil
}

// sameMember records which database the member is. It returns another member that is the same
// database, or nil.
func (q *Quorum) sameMember(m *member, id string) *member {
	q.mu.Lock()
	defer q.mu.Unlock()
	for other, known := range q.ids {
		if other != m && known == id {
			return other
		}
	}
	q.ids[m] = id
	return nil
}

// register creates the membership row, unless another process is faster.
func (m *member) register(ctx context.Context) error {
	lock, err := m.c.Attempt(ctx, request.Request{
		Name: m.q.opts.Name, Slot: request.SlotMember, TTL: m.q.opts.TTL,
		Note: m.q.fingerprint() + rand.Text(), HoldAtLeast: request.Forever,
	}, false)
	switch {
	case err == nil:
		m.q.log.Info("sqllock: registered a database that is new to the quorum or has lost its data",
			"quorum", m.q.opts.Name, "database", m.number, "counts in", m.q.opts.MaxTTL)
		m.c.Discard(lock)
	case ctx.Err() != nil:
		return m.timeoutError()
	case !errors.Is(err, sqllock.ErrNotAcquired):
		return m.failed(err)
	}
	return nil
}

// vote asks for the database's vote and checks whether it counts.
func (m *member) vote(ctx context.Context, req request.Request, readFirst bool) (*sqllock.Lock, error) {
	if m.silent.Load() {
		if err := m.probe(ctx, voteWithin(req.TTL)); err != nil {
			return nil, err
		}
	}
	if !m.eligible.Load() { // nothing is taken that would have to be released again
		if err := m.checkEligible(ctx); err != nil {
			return nil, err
		}
	}
	lock, err := m.c.Attempt(ctx, req, readFirst)
	switch {
	case err != nil && ctx.Err() != nil:
		m.eligible.Store(false) // reading the row costs less than a try, and its error says more
		return nil, m.timeoutError()
	case err != nil:
		return nil, m.failed(err)
	}
	if err = m.checkEligible(ctx); err == nil && lock.Fence() > dialect.MaxFence {
		err = m.failed(fmt.Errorf("its fence %d leaves no room for later ones", lock.Fence()))
	}
	if err != nil {
		m.c.Discard(lock)
		return nil, err
	}
	return lock, nil
}

// advanceFence writes the quorum's fence into the row of the vote.
func (m *member) advanceFence(ctx context.Context, vote *sqllock.Lock, fence int64) error {
	ours, err := asked(ctx, m, func(ctx context.Context) (bool, error) {
		return store.One(m.c.Store().AdvanceFence(ctx, []dialect.FenceAdvance{{Claim: m.c.Claim(vote), Fence: fence}}))
	})
	if err == nil && !ours {
		err = m.failed(fmt.Errorf("%w: its vote was lost", sqllock.ErrNotAcquired))
	}
	return err
}

// asked calls the database with ask, which must be harmless when it is repeated, and waits for the
// answer until ctx ends.
func asked[T any](ctx context.Context, m *member, ask func(context.Context) (T, error)) (answer T, err error) {
	answer, abandoned, err := store.RunDetached(ctx, m.c.Store(), func() (answer T, err error) {
		_, err = m.c.Store().Retry(m.c.Store().Operation(ctx), func(ctx context.Context) error {
			got, failure := ask(ctx)
			answer = got
			m.failure.Store(nil)
			if failure != nil {
				m.failure.Store(&failure)
			}
			return failure
		})
		if err != nil {
			err = m.c.Failed("asking for a vote", err)
		}
		return answer, err
	}, func(T) {})
	if abandoned {
		return answer, m.timeoutError()
	}
	return answer, m.failed(err)
}

// timeoutError returns the error of a database that did not answer in time. The caller's ctx has
// not ended.
func (m *member) timeoutError() error { return m.noAnswer("in time") }

// noAnswer returns an error with the database's last failure, if there is one. It does not wrap
// that failure, whose class must not matter.
func (m *member) noAnswer(when string) error {
	if failure := m.failure.Load(); failure != nil {
		return fmt.Errorf("%s: no answer %s, but %v", m, when, *failure) //nolint:errorlint // see above
	}
	return fmt.Errorf("%s: no answer %s", m, when)
}

// identity is what a database of a quorum says about itself, before anything lasting is written to
// it.
type identity struct {
	marker string             // the id of a lease that was written to it
	shares []dialect.Identity // what it depends on
	others []string           // the markers that were found in it
	err    error              // set if it has not answered
}

// checkDistinct returns an [sqllock.ErrInvalid] if two of the databases that answer are the same
// one or depend on the same server, or if one of them takes part in another quorum of that name. It
// registers nothing, so databases that it refuses are left unchanged. silent has the errors of the
// members that don't answer, by index.
func (q *Quorum) checkDistinct(ctx context.Context) (silent []error, _ error) {
	answers := make([]identity, len(q.members))
	first, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	q.each(func(i int, m *member) { answers[i] = m.identify(first) })
	defer func() {
		for i, m := range q.members {
			m.removeMarker(answers[i])
		}
	}()
	markers := make([]string, len(answers))
	for i, a := range answers {
		if errors.Is(a.err, sqllock.ErrInvalid) || errors.Is(a.err, sqllock.ErrClosed) {
			return nil, a.err
		}
		markers[i] = a.marker
	}
	second, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	q.each(func(i int, m *member) {
		if answers[i].err == nil {
			answers[i].others, answers[i].err = m.findMarkers(second, markers)
		}
	})
	silent = make([]error, len(answers))
	for i, a := range answers {
		silent[i] = a.err
		for j, b := range answers[:i] {
			if err := q.compare(q.members[j], b, q.members[i], a); err != nil {
				return nil, err
			}
		}
	}
	return silent, nil
}

// each calls f for every member concurrently and waits for all calls.
func (q *Quorum) each(f func(i int, m *member)) {
	var group sync.WaitGroup
	for i, m := range q.members {
		group.Go(func() { f(i, m) })
	}
	group.Wait()
}

// identify asks the database what it is, and writes a marker to it.
func (m *member) identify(ctx context.Context) (a identity) {
	row, err := m.readRow(ctx)
	if err == nil && row.Exists && row.FreeIn > 0 {
		_, err = m.memberID(row)
	}
	if err != nil {
		return identity{err: err}
	}
	marker := rand.Text()
	a.shares, a.err = asked(ctx, m, func(ctx context.Context) ([]dialect.Identity, error) {
		err := m.c.Store().CreateLease(ctx, dialect.Lease{ID: marker, Holder: m.c.Holder(), TTL: markerTTL})
		if err != nil {
			return nil, err
		}
		if d, ok := m.c.Store().Dialect.(dialect.Identifier); ok && !m.q.opts.SharedServers {
			return d.Identities(ctx)
		}
		return nil, nil
	})
	a.marker = marker
	return a
}

// markerTTL is the TTL of a marker. Nobody renews a marker, and it is deleted as soon as all
// databases have been asked.
const markerTTL = 4 * store.OperationTimeout

// findMarkers returns which of the markers are leases of this database: its own, and those of
// members that are the same database.
func (m *member) findMarkers(ctx context.Context, markers []string) ([]string, error) {
	return asked(ctx, m, func(ctx context.Context) (found []string, err error) {
		expiries, err := m.c.Store().ExpireLeases(ctx, markers)
		for i, e := range expiries {
			if !e.Dead {
				found = append(found, markers[i])
			}
		}
		return found, err
	})
}

// removeMarker deletes the marker in the background. If that fails, the marker expires by itself.
func (m *member) removeMarker(a identity) {
	if a.err != nil {
		return
	}
	m.c.Store().Spawn(func() {
		ctx, cancel := m.c.Store().Within(store.OperationTimeout)
		defer cancel()
		if err := m.c.Store().DeleteLeases(ctx, []string{a.marker}); err != nil {
			m.q.log.Debug("sqllock: deleting a marker failed; it will expire",
				"quorum", m.q.opts.Name, "database", m.number, "err", err)
		}
	})
}

// compare returns an [sqllock.ErrInvalid] if the two databases are not independent of each other.
func (q *Quorum) compare(a *member, ofA identity, b *member, ofB identity) error {
	if ofA.err != nil || ofB.err != nil {
		return nil //nolint:nilerr // an unknown identity is no reason to refuse
	}
	if slices.Contains(ofA.others, ofB.marker) || slices.Contains(ofB.others, ofA.marker) {
		return q.sameDatabase(a, b)
	}
	for _, shared := range ofA.shares {
		if slices.Contains(ofB.shares, shared) {
			return fail.Invalid("%s and %s of quorum %q share %s (%s), and would fail together: use databases of "+
				"different servers, or set quorum.Options.SharedServers where that is meant",
				a, b, q.opts.Name, shared.What, shared.ID)
		}
	}
	return nil
}

func (q *Quorum) sameDatabase(a, b *member) error {
	return fail.Invalid("%s and %s of quorum %q are the same database, or one is a copy of the other: each must be a "+
		"database of its own; if one is a copy, empty its tables sqllock_locks and sqllock_leases", a, b, q.opts.Name)
}
