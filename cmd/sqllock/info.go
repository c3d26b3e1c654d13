package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// lockInfo is a lock in a list.
type lockInfo struct {
	Name      string        `json:"name"`
	Kind      sqllock.Kind  `json:"kind"`
	Shared    bool          `json:"shared,omitempty"` // held by a reader of an rwlock
	Permit    *int          `json:"permit,omitempty"` // of a semaphore
	State     sqllock.State `json:"state"`
	Holder    string        `json:"holder,omitempty"`
	Note      string        `json:"note,omitempty"`
	Fence     int64         `json:"fence"`
	Since     time.Time     `json:"since"`        // when it was acquired, or released
	Left      float64       `json:"remaining_ms"` // until the lease ends, unless renewed; or the lock can be taken
	Heartbeat *float64      `json:"heartbeat_ms,omitempty"`
	Waiters   int           `json:"waiters"`
	Waiting   *time.Time    `json:"waiting_since,omitempty"` // since when the first of them waits

	lease string // the id of the lease, if it is known
}

func infoOf(i sqllock.Info) lockInfo {
	l := lockInfo{
		Name: i.Name, Kind: i.Kind, Shared: i.Shared, State: i.State, Holder: i.Holder, Note: i.Note, Fence: i.Fence,
		Since: i.Since, Left: float64(i.Remaining) / float64(time.Millisecond),
	}
	if i.Kind == sqllock.KindSemaphore {
		l.Permit = &i.Permit
	}
	return l
}

// kind returns the kind for people.
func (l lockInfo) kind() string {
	switch {
	case l.Permit != nil:
		return fmt.Sprintf("%s #%d", l.Kind, *l.Permit)
	case l.Shared:
		return string(l.Kind) + ", reader"
	case l.Kind == sqllock.KindRWLock:
		return string(l.Kind) + ", writer"
	}
	return string(l.Kind)
}

func (l lockInfo) left() time.Duration { return time.Duration(l.Left * float64(time.Millisecond)) }

// waiter is a process that waits for a lock.
type waiter struct {
	Kind     sqllock.Kind `json:"kind"`
	Holder   string       `json:"holder"`
	Note     string       `json:"note,omitempty"`
	Since    time.Time    `json:"since"`
	Priority int          `json:"priority,omitempty"`
	Holds    []heldLock   `json:"holds,omitempty"` // what its process holds meanwhile
}

// heldLock is a lock that a waiting process holds, and who waits for that one.
type heldLock struct {
	Name    string       `json:"name"`
	Kind    sqllock.Kind `json:"kind"`
	Fence   int64        `json:"fence"`
	Waiters []waiter     `json:"waiters,omitempty"`
}

// list returns the locks that match, with their waiters.
func (c *connection) list(ctx context.Context, all bool, matches func(lockInfo) bool) ([]lockInfo, error) {
	infos := c.locks.Locks(ctx)
	if all {
		infos = c.locks.AllLocks(ctx)
	}
	list := []lockInfo{}
	for info, err := range infos {
		if err != nil {
			return nil, err
		}
		if l := infoOf(info); matches(l) {
			list = append(list, l)
		}
	}
	return list, c.addWaiters(ctx, list)
}

// sqlWaited is the same on every engine.
const sqlWaited = `SELECT DISTINCT name FROM sqllock_waiters`

// addWaiters counts who waits for each lock. It reads the queues only of those that have one.
func (c *connection) addWaiters(ctx context.Context, list []lockInfo) error {
	if len(list) == 0 {
		return nil
	}
	waited, err := c.names(ctx, sqlWaited)
	if err != nil {
		return err
	}
	for _, name := range waited {
		if !slices.ContainsFunc(list, func(l lockInfo) bool { return l.Name == name }) {
			continue
		}
		queue, err := c.locks.Queue(ctx, name)
		if err != nil {
			return err
		}
		for i := range list {
			for _, w := range queue {
				if list[i].Name != name || list[i].Kind != w.Kind {
					continue
				}
				list[i].Waiters++
				if list[i].Waiting == nil {
					list[i].Waiting = &w.Since
				}
			}
		}
	}
	return nil
}

// names returns the texts that a query returns.
func (c *connection) names(ctx context.Context, query string) (names []string, err error) {
	rows, err := c.DB.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading the queues: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// holders returns the holders of a name, with their last heartbeats.
func (c *connection) holders(ctx context.Context, name string) ([]lockInfo, error) {
	infos, err := c.locks.Holders(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf(ctx, c, name)
	if err != nil {
		return nil, err
	}
	list := []lockInfo{}
	for _, info := range infos {
		l := infoOf(info)
		i := slices.IndexFunc(rows, func(row dialect.Row) bool {
			return row.Fence == l.Fence && row.AcquiredAt.Equal(l.Since) && row.Holder == l.Holder
		})
		if i >= 0 {
			l.lease = rows[i].LeaseID
			if rows[i].Lease == dialect.LeaseLive {
				l.Heartbeat = ms(max(rows[i].TTL-rows[i].Remaining, 0))
			}
		}
		list = append(list, l)
	}
	return list, c.addWaiters(ctx, list)
}

// queue returns who waits for a name, with what each of them holds, and who waits for that.
func (c *connection) queue(ctx context.Context, name string) ([]waiter, error) {
	queue, err := c.locks.Queue(ctx, name)
	if err != nil || len(queue) == 0 {
		return []waiter{}, err
	}
	var held []sqllock.Info
	for info, err := range c.locks.Locks(ctx) {
		if err != nil {
			return nil, err
		}
		held = append(held, info)
	}
	return c.forest(ctx, queue, held, map[string]bool{name: true})
}

// forest returns the waiters with the locks that they hold, and the waiters of those. seen has the
// names that stand above.
func (c *connection) forest(
	ctx context.Context, queue []sqllock.Waiter, held []sqllock.Info, seen map[string]bool,
) ([]waiter, error) {
	waiters := []waiter{}
	for _, w := range queue {
		one := waiter{Kind: w.Kind, Holder: w.Holder, Note: w.Note, Since: w.Since, Priority: w.Priority}
		for _, info := range held {
			if info.Holder != w.Holder {
				continue
			}
			h := heldLock{Name: info.Name, Kind: info.Kind, Fence: info.Fence}
			if !seen[info.Name] {
				seen[info.Name] = true
				next, err := c.locks.Queue(ctx, info.Name)
				if err != nil {
					return nil, err
				}
				if h.Waiters, err = c.forest(ctx, next, held, seen); err != nil {
					return nil, err
				}
				delete(seen, info.Name)
			}
			one.Holds = append(one.Holds, h)
		}
		waiters = append(waiters, one)
	}
	return waiters, nil
}

// byFence returns the holder with that fence.
func byFence(list []lockInfo, fence int64) (lockInfo, bool) {
	i := slices.IndexFunc(list, func(l lockInfo) bool { return l.Fence == fence })
	if i < 0 {
		return lockInfo{}, false
	}
	return list[i], true
}

// holderName returns the holder for people.
func holderName(l lockInfo) string { return cmp.Or(clean(l.Holder), "a process without a name") }
