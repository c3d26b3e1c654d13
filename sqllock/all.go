package sqllock

import (
	"context"
	"errors"
	"slices"
)

// AcquireAll takes the locks of several names, all or none, and waits for them until ctx ends. Two callers whose names cross
// never wait for each other: nobody waits for a name while he holds a greater one, as strings compare. Names that are free are
// taken in one statement, however many.
//
// The error is that of Acquire for the name which was missing, and tells who holds it; then nothing stays taken. No names, a name
// twice, and Session, Shared, Permits or HoldAtLeast are an ErrInvalid: what is taken and let go again for another must be free at once.
// All are under one lease. With Fair they are taken one after the other.
func (c *Client) AcquireAll(ctx context.Context, names []string, opts ...Option) (*Set, error) {
	return c.acquireAll(ctx, names, opts, c.acquire)
}

// TryAcquireAll is AcquireAll that doesn't wait: the error is that of TryAcquire for the first name that another holds.
func (c *Client) TryAcquireAll(ctx context.Context, names []string, opts ...Option) (*Set, error) {
	return c.acquireAll(ctx, names, opts, c.try)
}

// acquireAll takes what can't be had together by single.
func (c *Client) acquireAll(ctx context.Context, names []string, opts []Option,
	single func(context.Context, wish) (*Lock, error),
) (*Set, error) {
	wishes, err := c.wishes(names, opts)
	if err != nil {
		return nil, err
	}
	ctx = wishes[0].says(ctx)
	for i := range wishes {
		wishes[i].saysHolding = false // ctx says it from here on, and what is taken comes to it
	}
	for {
		locks, err := c.climb(ctx, wishes, single)
		if err != nil {
			letGoAll(ctx, locks)
			return nil, err
		}
		if whole(locks) {
			return newSet(ctx, names, locks), nil
		}
		letGoAll(ctx, locks) // their lease ended before the last came: anew, under the next one
	}
}

// wishes are those for each name, in the order in which they are waited for.
func (c *Client) wishes(names []string, opts []Option) ([]wish, error) {
	if len(names) == 0 {
		return nil, invalid("there are no names to acquire locks of")
	}
	var wishes []wish
	for i, name := range slices.Sorted(slices.Values(names)) {
		w, err := c.wish(name, opts)
		switch {
		case err != nil:
			return nil, err
		case w.session || w.shared || w.semaphore || w.holdAtLeast != 0:
			return nil, invalid("Session, Shared, Permits and HoldAtLeast don't go with several names at once")
		case i > 0 && wishes[i-1].name == name:
			return nil, invalid("the name %q is there twice", name)
		}
		wishes = append(wishes, w)
	}
	return wishes, nil
}

// climb takes the locks in the order of their names: as many together as there are, then the one that another holds by itself,
// and so on. On an error it answers those that it has. Where one of them was lost meanwhile it stops.
func (c *Client) climb(ctx context.Context, wishes []wish, single func(context.Context, wish) (*Lock, error)) ([]*Lock, error) {
	var locks []*Lock
	for len(locks) < len(wishes) && whole(locks) {
		got, err := c.together(ctx, wishes[len(locks):])
		locks = append(locks, got...)
		if err != nil || len(locks) == len(wishes) {
			return locks, err
		}
		lock, err := single(&holding{ctx, append(heldIn(ctx), locks...)}, wishes[len(locks)])
		if err != nil {
			return locks, err
		}
		locks = append(locks, lock)
	}
	return locks, nil
}

// together tries to take all in one statement, and keeps those that stand before the first which was refused.
func (c *Client) together(ctx context.Context, wishes []wish) ([]*Lock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, wishes[0].name, nil)
	}
	if len(wishes) == 1 || wishes[0].fair { // the queue decides who comes first
		return nil, nil
	}
	locks, outlived, err := detached(ctx, c, func() ([]*Lock, error) { return c.takeTogether(ctx, wishes) }, giveAllBack)
	if outlived {
		err = gaveUp(ctx, wishes[0].name, nil)
	}
	if err != nil {
		return nil, err
	}
	n := slices.Index(locks, nil)
	if n < 0 {
		return locks, nil
	}
	letGoAll(ctx, locks[n:])
	return locks[:n], nil
}

// whole tells whether all are held.
func whole(locks []*Lock) bool {
	return !slices.ContainsFunc(locks, func(l *Lock) bool { return l.check() != nil })
}

// letGoAll lets locks go that nobody gets to see. It waits for that only as long as the caller is there.
func letGoAll(ctx context.Context, locks []*Lock) {
	locks = slices.DeleteFunc(slices.Clone(locks), func(l *Lock) bool { return l == nil })
	if ctx.Err() != nil {
		giveAllBack(locks)
		return
	}
	if err := releaseAll(ctx, locks); err != nil && !errors.Is(err, ErrLost) {
		locks[0].c.log.Debug("sqllock: letting go of locks that were not all to be had; it goes on in the background", "err", err)
	}
}

func giveAllBack(locks []*Lock) {
	for _, l := range locks {
		if l != nil {
			l.giveBack()
		}
	}
}
