package main

import "fmt"

// mutant is the core with a bug.
type mutant struct {
	name  string
	what  string // the condition that it drops or weakens
	edits []edit
}

func mutantOf(name string) (mutant, error) {
	for _, m := range mutants {
		if m.name == name {
			return m, nil
		}
	}
	return mutant{}, fmt.Errorf("there is no mutant %q; -list lists them", name)
}

// mutants are the bugs that the simulator has to detect. One whose name begins with "historic" was
// in the core, as it was found later.
var mutants = []mutant{
	// The validity of a lease.
	{
		"historic-lease-from-reply", "a lease counts from the reply to its creation (277609c)",
		[]edit{{
			"sqllock/leases.go",
			"return c.store.CreateLease(ctx, dialect.Lease{ID: l.id, Holder: c.opts.Holder, TTL: l.ttl})",
			`err := c.store.CreateLease(ctx, dialect.Lease{ID: l.id, Holder: c.opts.Holder, TTL: l.ttl})
		l.validity.Sent = clock.Now()
		return err`,
		}},
	},
	{
		"renewal-from-reply", "a renewal counts from its reply",
		[]edit{{
			"sqllock/lease.go",
			"answer <- renewal{sent: sent, err: l.send(ctx)}",
			`err := l.send(ctx)
		answer <- renewal{sent: clock.Now(), err: err}`,
		}},
	},
	{
		"no-margin", "the holder doesn't give up before its lease ends",
		[]edit{{
			"sqllock/internal/clock/validity.go",
			"return v.TTL - Margin(v.TTL) - now.Since(v.Sent)",
			"return v.TTL - now.Since(v.Sent)",
		}},
	},
	{
		"no-second-clock", "time in which the host was suspended doesn't count",
		[]edit{{
			"sqllock/internal/clock/clock.go",
			"return n.mono.Sub(m.mono) + max(n.ahead-m.ahead, 0)",
			"return n.mono.Sub(m.mono)",
		}},
	},
	{
		"context-without-clock", "Lock.Context's Err doesn't read the clock",
		[]edit{{
			"sqllock/internal/clock/context.go",
			"	c.Of.EndIfLost()\n	return c.Context.Err()",
			"	return c.Context.Err()",
		}},
	},
	{
		"historic-clock-now-and-then", "what decides about a lease looks at the second clock every 5 ms (1e917a7)",
		[]edit{{
			"sqllock/lease.go",
			"if l.remainingAt(clock.Exactly()) > 0 {",
			"if l.remainingAt(clock.Now()) > 0 {",
		}},
	},
	{
		"late-grant-counts", "a grant counts whose reply came when its lease was over",
		[]edit{{
			"sqllock/lease.go",
			`	if l.over || l.validity.Remaining(clock.Now()) <= 0 {
		return false
	}
	l.locks[lock] = struct{}{}`,
			"	l.locks[lock] = struct{}{}",
		}},
	},
	{
		"refused-heartbeat", "a heartbeat that finds no lease counts as a renewal",
		[]edit{{
			"sqllock/backend.go",
			"if err == nil && !alive[0] {",
			"if err == nil && !alive[0] && l == nil {",
		}},
	},
	{
		"one-id-for-all-tries", "each try to create a lease uses the same id",
		[]edit{{
			"sqllock/leases.go",
			"		l.id = rand.Text()\n" +
				"		l.validity = clock.Validity{Sent: clock.Now(), TTL: l.trusted()}\n" +
				"		// A lease",
			"		if l.id == \"\" {\n" +
				"			l.id = rand.Text()\n" +
				"		}\n" +
				"		l.validity = clock.Validity{Sent: clock.Now(), TTL: l.trusted()}\n" +
				"		// A lease",
		}},
	},
	{
		"idle-with-locks", "a lease counts as idle although locks are held under it",
		[]edit{{
			"sqllock/lease.go",
			"unused := l.users == 0 && clock.Now().Since(l.idle) >= l.ttl",
			"unused := clock.Now().Since(l.idle) >= l.ttl",
		}},
	},
	{
		"lease-user-left", "a refused request stays a user of its lease",
		[]edit{{
			"sqllock/acquire.go",
			"	l.removeUser()\n	if o.Err == nil {",
			"	if o.Err == nil {",
		}},
	},

	// Dead holders.
	{
		"watched-too-briefly", "a lease that wasn't renewed for half its TTL is over",
		[]edit{{
			"sqllock/internal/expiry/expiry.go",
			"return max(length+length/1000-at.Since(s.first), 0)",
			"return max(length/2-at.Since(s.first), 0)",
		}},
	},
	{
		"renewals-unseen", "who watches a lease doesn't see its renewals",
		[]edit{{
			"sqllock/internal/expiry/expiry.go",
			"if s == nil || s.mark != mark {",
			"if s == nil {",
		}},
	},
	{
		"clock-set-back-bars", "a lease or bar isn't watched: a clock that was set back decides",
		[]edit{{
			"sqllock/internal/expiry/expiry.go",
			"return max(length+length/1000-at.Since(s.first), 0)",
			"return max(length, 1)",
		}},
	},

	// Requests whose outcome is unknown.
	{
		"no-doubt", "a try without a reply can't be carried out late",
		[]edit{{
			"sqllock/internal/store/retry.go",
			"			inDoubt = true\n",
			"",
		}},
	},
	{
		"historic-no-doubt-window",
		"what is in doubt is released once, and not until no request can arrive any more (1a8a37e)",
		[]edit{{
			"sqllock/backend.go",
			"until := late\n",
			"until := time.Duration(0)\n",
		}},
	},
	{
		"another-token", "a request without a reply is followed by another one, instead of the same",
		[]edit{{
			"sqllock/acquire.go",
			"req.sent = &sent",
			"_ = sent",
		}},
	},
	{
		"request-of-dead-lease", "a request without a reply is sent again under a lease that is over",
		[]edit{
			{
				"sqllock/attempt.go",
				"if req.sent != nil && req.sent.LeaseID == l.id {",
				"if req.sent != nil {",
			},
			{
				"sqllock/attempt.go",
				"		req.sent = nil // that request is released in the background from here on\n",
				"",
			},
		},
	},
	{
		"unanswered-left-behind", "what an abandoned request without a reply may take isn't released",
		[]edit{{
			"sqllock/acquire.go",
			"		l.backend.releaseLater(l, claim, l.ttl)\n",
			"		_ = claim\n",
		}},
	},
	{
		"granted-left-behind", "what an abandoned request in a batch is granted isn't released",
		[]edit{{
			"sqllock/acquire.go",
			"		l.backend.releaseLater(l, claim, 0)\n",
			"		_ = claim\n",
		}},
	},
	{
		"attempt-left-behind", "what an abandoned attempt gets isn't released",
		[]edit{{
			"sqllock/acquire.go",
			"			if lock != nil {\n				lock.discardLater()\n			}\n			after()",
			"			after()",
		}},
	},
	{
		"failed-attempt-left-behind", "what a failed attempt may take isn't released",
		[]edit{{
			"sqllock/attempt.go",
			"			a.releaseLater(l, t.claim(), l.ttl)\n",
			"",
		}},
	},
	{
		"duplicate-after-release", "a lock that was requested twice is released once",
		[]edit{{
			"sqllock/attempt.go",
			"delayed: t.request.LockDelay > 0, inDoubt: t.inDoubt,",
			"delayed: t.request.LockDelay > 0,",
		}},
	},
	{
		"failed-release-left-behind", "a release that failed isn't repeated",
		[]edit{{
			"sqllock/backend.go",
			"if l.inDoubt || !found {",
			"if l.inDoubt || !found && err == nil {",
		}},
	},
	{
		"set-in-doubt", "what a set's statement without a reply may take isn't released",
		[]edit{{
			"sqllock/set.go",
			"case grants[i].Granted || late:",
			"case grants[i].Granted:",
		}},
	},
	{
		"set-keeps-some", "a set keeps what it got beyond the first lock that is held",
		[]edit{{
			"sqllock/set.go",
			"	discardNow(ctx, locks[n:])\n",
			"",
		}},
	},
	{
		"set-fails-with-some", "a set that fails keeps what it got",
		[]edit{{
			"sqllock/set.go",
			"			discardNow(ctx, locks)\n			return nil, err",
			"			return nil, err",
		}},
	},

	// Queues and hand-overs.
	{
		"historic-fair-behind-itself", "a Fair waiter that was handed the lock stays behind the next in the queue",
		[]edit{{
			"sqllock/queueentry.go",
			"if !t.fair || t.hasEntry() {",
			"if !t.fair {",
		}},
	},
	{
		"historic-handed-off-and-lost", "a lock that was lost before its waiter came to fetch it ends the wait",
		[]edit{{
			"sqllock/waiter.go",
			"		if lock.check() != nil { // its lease has ended since then",
			"		if lock == nil { // its lease has ended since then",
		}},
	},
	{
		"handed-over-to-nobody", "what was handed over to a waiter that left isn't released",
		[]edit{{
			"sqllock/queueentry.go",
			"ours, err := leaseBackend{e.c}.releaseOnce(ctx, e.lease, e.claim())",
			"ours, err := false, error(nil)",
		}},
	},
	{
		"historic-queued-again", "an entry that is in the queue again can't have been handed the lock",
		[]edit{{
			"sqllock/queueentry.go",
			"if err != nil || was && !e.inDoubt {",
			"if err != nil || was {",
		}},
	},
	{
		"historic-former-primary", "a release that finds nothing is believed, also of a former primary",
		[]edit{{
			"sqllock/backend.go",
			"if l.inDoubt || !found {",
			"if l.inDoubt || !found && err != nil {",
		}},
	},
	{
		"removed-at-former-primary", "what isn't there to be removed is not looked for again",
		[]edit{{
			"sqllock/backend.go",
			"if !found {",
			"if !found && late < 0 {",
		}},
	},
	{
		"late-entry-stays", "a queue entry that is written late stays",
		[]edit{{
			"sqllock/queueentry.go",
			"		late = e.lease.ttl\n",
			"		late = 0\n",
		}},
	},
	{
		"failed-entry-stays", "a queue entry that couldn't be confirmed stays",
		[]edit{{
			"sqllock/queueentry.go",
			"		e.inDoubt = true\n		e.remove()\n",
			"		e.lease.removeUser()\n",
		}},
	},
	{
		"removed-entry-gets-lock", "a waiter takes what was handed over to an entry that is being removed",
		[]edit{{
			"sqllock/queueentry.go",
			"	if !e.markClaimed() { // it was removed, and the lock is being released\n" +
				"		return nil\n" +
				"	}\n",
			"	e.markClaimed()\n",
		}},
	},
	{
		"lost-notice", "a waiter doesn't find in the row what was handed over to it",
		[]edit{{
			"sqllock/queueentry.go",
			"if t.entry == nil || row.Owner != t.entry.request.Owner {",
			"if t.entry == nil || true {",
		}},
	},
	{
		"delivered-to-nobody", "a lock is handed off to a goroutine that has left",
		[]edit{
			{
				"sqllock/localqueue.go",
				"	if h.withdrawn {\n		return false\n	}\n",
				"",
			},
			{
				"sqllock/localqueue.go",
				"	if q := qs.queues[h.req.queueKey()]; q != nil && !h.withdrawn {",
				"	if q := qs.queues[h.req.queueKey()]; q != nil {",
			},
		},
	},
	{
		"transfer-in-doubt", "a hand-off without a reply isn't released",
		[]edit{{
			"sqllock/localqueue.go",
			"		if inDoubt {\n			a.releaseLater(l.lease, claim, l.lease.ttl)\n		}\n",
			"		_ = claim\n",
		}},
	},
	{
		"abandoned-leaves-queue", "a caller leaves the local queue although its statement is in flight",
		[]edit{{
			"sqllock/waiter.go",
			"	if !w.abandoned {\n		w.leaveQueue()",
			"	if true {\n		w.leaveQueue()",
		}},
	},
	{
		"historic-late-grant-ends-wait", "a grant that came too late ends the wait (9662d90)",
		[]edit{{
			"sqllock/waiter.go",
			"	case errors.Is(err, errGrantTooLate): // try again under the next lease\n		return nil, nil\n",
			"",
		}},
	},
	{
		"outage-ends-wait", "an outage of the database ends the wait",
		[]edit{{
			"sqllock/waiter.go",
			"if !w.c.store.unanswered(err) {",
			"if err != nil {",
		}},
	},
	{
		"no-deadlock-detection", "nobody looks for deadlocks",
		[]edit{{
			"sqllock/deadlock.go",
			"timer := time.AfterFunc(suspectAfter, func() {",
			"timer := time.AfterFunc(suspectAfter*1e6, func() {",
		}},
	},
	{
		"answers-mixed-up", "all calls of a batch get the first answer",
		[]edit{{
			"sqllock/internal/store/batcher.go",
			"call.Answer <- Result[A]{Value: answers[i]}",
			"call.Answer <- Result[A]{Value: answers[0]}",
		}},
	},

	// What holders do.
	{
		"guard-refused", "a transaction goes on although its guard found another holder",
		[]edit{{
			"sqllock/lock.go",
			"	case ours[0]:\n		return nil",
			"	case ours[0] || err == nil:\n		return nil",
		}},
	},
	{
		"context-outlasts-release", "a lock's context ends after its release",
		[]edit{{
			"sqllock/lock.go",
			"	l.cancel(&releasedError{l.Name()})\n\n	if err := refused()",
			"	defer l.cancel(&releasedError{l.Name()})\n\n	if err := refused()",
		}},
	},

	// Kinds of locks.
	{
		"reader-ignores-writer", "a reader that has taken its row doesn't look for a writer",
		[]edit{{
			"sqllock/rwlock.go",
			"if err = flags.noWriter(ctx, l, req.Name); err == nil && lock.check() != nil {",
			"if lock.check() != nil {",
		}},
	},
	{
		"writer-ignores-readers", "a writer doesn't wait for readers",
		[]edit{{
			"sqllock/acquire.go",
			"if lock != nil && req.Slot == request.SlotWriter {",
			"if lock != nil && req.Slot == -1 {",
		}},
	},
	{
		"try-ignores-readers", "a writer that doesn't wait doesn't look for readers",
		[]edit{{
			"sqllock/acquire.go",
			"if err == nil && lock.writes() {",
			"if err == nil && lock.writes() && req.Slot == -1 {",
		}},
	},
	{
		"dead-reader-only", "a writer takes a live reader for a dead one",
		[]edit{{
			"sqllock/rwlock.go",
			"		found := rowHeld\n		if row.Lease != dialect.LeaseLive {",
			"		found := rowFree\n		if row.Lease != dialect.LeaseLive {",
		}},
	},
	{
		"one-permit-more", "a semaphore has one permit more",
		[]edit{{
			"sqllock/internal/request/request.go",
			"r.Slot = SlotPermits + rand.N(r.Permits)",
			"r.Slot = SlotPermits + rand.N(r.Permits+1)",
		}},
	},
	{
		"once-without-recall", "work that is done once doesn't look for an outcome under its lock",
		[]edit{{
			"sqllock/once/once.go",
			"if o, err = w.recall(ctx); err != nil || o.Kept {\n			return err\n		}\n		result",
			"result",
		}},
	},
	{
		"once-own-result", "a caller gets the result of its own work although another's counts",
		[]edit{{
			"sqllock/once/once.go",
			"	return w.answer(o, o.Fence != lock.Fence())",
			"	return Outcome{Result: result, At: o.At}, nil",
		}},
	},
	{
		"session-twice", "one process gets a session lock twice, from its own session",
		[]edit{{
			"sqllock/session.go",
			"if has := a.held[want.Name]; has != nil {",
			"if has := a.held[want.Name]; has != nil && a.conn == nil {",
		}},
	},
	{
		"session-shared-once", "the first of several sharers in a process releases a session lock for all",
		[]edit{{
			"sqllock/session.go",
			"	if has.n--; has.n > 0 {\n		return true, nil\n	}\n",
			"",
		}},
	},
}
