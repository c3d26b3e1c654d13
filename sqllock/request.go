package sqllock

import (
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// acquisition is a request with what changes while its caller waits.
type acquisition struct {
	request.Request

	entry *queueEntry      // its entry in the database's queue; nil if it has none
	sent  *dialect.Request // sent before, and the reply was lost: send the same request again
	trace *acquireTrace    // nil if it is not traced
}

// newRequest returns the request for a lock under a lease, with the options applied. set is the
// method by which an option of that kind is applied.
func newRequest[O comparable](
	c *core, r request.Request, opts []O, set func(O, *request.Request),
) (req acquisition, err error) {
	req.Request, req.TTL = r, c.opts.TTL
	if err := request.Apply(&req.Request, opts, set); err != nil {
		return req, err
	}
	return req, c.checkLease(&req.Request)
}

// checkLease returns an error if a request for a lease lock breaks a rule.
func (c *core) checkLease(req *request.Request) error {
	if c.opts.WithoutTables {
		return fmt.Errorf("sqllock: %w: lock %q: this Client was made WithoutTables and can take only Session locks; "+
			"for lease locks run `sqllock-migrate own up`, and make the Client without that option",
			ErrUnsupported, req.Name)
	}
	if err := req.Check(); err != nil {
		return err
	}
	if req.TTL-c.opts.ClockSkew < MinTTL {
		return skewed(req.TTL, c.opts.ClockSkew)
	}
	return nil
}

func (req *acquisition) leaseKey() leaseKey { return leaseKey{ttl: req.TTL, session: req.Session} }

func (req *acquisition) queueKey() queueKey {
	return queueKey{Key: req.Queue(), session: req.Session, permits: req.Permits}
}

// dialectRequest returns a request for the lock under a lease, with a new owner token.
func (req *acquisition) dialectRequest(leaseID string) dialect.Request {
	return dialect.Request{
		Key:     req.Key(),
		LeaseID: leaseID, Owner: req.Token(), Note: req.Note,
		HoldAtLeast: request.ToMicros(req.HoldAtLeast), LockDelay: request.ToMicros(req.LockDelay),
	}
}

// data describes for tracers the lock that is asked for.
func (req *acquisition) data() LockData {
	kind := kindOfSlot(req.Slot)
	if req.Session {
		kind = KindSession
	}
	return LockData{Name: req.Name, Kind: kind, Shared: req.Shared}
}

// leaseKey is what the locks under one lease have in common.
type leaseKey struct {
	ttl     time.Duration
	session bool // the server holds the locks, for a connection
}

// queueKey returns the key of the local queue in which callers wait for that lock: for any permit
// of a semaphore, or to read or write.
func (k leaseKey) queueKey(key dialect.Key) queueKey {
	key.Slot = request.QueueSlot(key.Slot)
	return queueKey{Key: key, session: k.session}
}

// queueKey identifies a local queue. Lease locks and session locks of one name are different locks.
// Callers that want a permit of a semaphore have a queue for each number of permits that they pass,
// because a caller with a smaller number may have to wait when one with a greater number need not.
type queueKey struct {
	dialect.Key
	session bool
	permits int
}
