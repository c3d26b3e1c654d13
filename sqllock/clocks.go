package sqllock

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Member is another server of the database's cluster, for [Client.Check].
type Member struct {
	Name    string          // for people, such as "db2:5432"
	Dialect dialect.Dialect // reaches that server and no other
}

const (
	clockReadings = 5 // of each clock; the one with the shortest round trip counts

	// clocksAgree is a difference that needs no ClockSkew: NTP leaves as much.
	clocksAgree = 10 * time.Millisecond
)

// offset is by how much a server's clock is ahead of this process's. The truth is within off on
// both sides of it.
type offset struct {
	name       string
	ahead, off time.Duration
	err        error
}

// checkClocks compares the clocks of the cluster's servers.
func checkClocks(ctx context.Context, c *Client, members []Member) []Finding {
	others, err := listMembers(ctx, c)
	if err != nil {
		others = []string{err.Error()}
	}
	if len(members) == 0 {
		if len(others) == 0 {
			return nil
		}
		return []Finding{notCompared("none was compared", others)}
	}
	offsets := readClocks(ctx, append([]Member{{"this server", c.store.Dialect}}, members...))
	var findings []Finding
	offsets = slices.DeleteFunc(offsets, func(o offset) bool {
		if o.err != nil {
			findings = append(findings, Finding{
				What: "clock of " + o.name, Found: "it can't be read: " + o.err.Error(), Verdict: VerdictNotice,
				Advice: "compare it from where that server can be reached",
			})
		}
		return o.err != nil
	})
	if len(offsets) > 1 {
		findings = append(findings, clocksFinding(offsets, c.opts.TTL, c.opts.ClockSkew))
	}
	if len(others) > len(members) {
		findings = append(findings, notCompared(fmt.Sprintf("%d compared", len(members)), others))
	}
	return findings
}

// listMembers returns the servers of the cluster that the engine knows of, except this one.
func listMembers(ctx context.Context, c *Client) ([]string, error) {
	lister, ok := c.store.Dialect.(dialect.MemberLister)
	if !ok {
		return nil, nil
	}
	return lister.Members(ctx)
}

func notCompared(how string, others []string) Finding {
	return Finding{
		What: "clocks of the other servers", Found: how + ": " + strings.Join(others, ", "), Verdict: VerdictNotice,
		Advice: "leases are judged by the clock of the server that answers: compare them (`sqllock doctor " +
			"--member HOST:PORT`, once for each)",
	}
}

// readClocks reads the clocks of all servers at the same time, in the order of the servers.
func readClocks(ctx context.Context, of []Member) []offset {
	ctx, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	offsets := make([]offset, len(of))
	var all sync.WaitGroup
	for i, m := range of {
		all.Go(func() { offsets[i] = readClock(ctx, m) })
	}
	all.Wait()
	return offsets
}

func readClock(ctx context.Context, of Member) (best offset) {
	reader, ok := of.Dialect.(dialect.ClockReader)
	if !ok {
		err := fmt.Errorf("%w: %s has no clock of its own", ErrUnsupported, of.Dialect.Name())
		return offset{name: of.Name, err: err}
	}
	for i := range clockReadings {
		sent := time.Now()
		now, err := reader.ReadClock(ctx)
		if err != nil {
			return offset{name: of.Name, err: err}
		}
		if half := time.Since(sent) / 2; i == 0 || half < best.off {
			best = offset{name: of.Name, ahead: now.Sub(sent.Add(half)), off: half}
		}
	}
	return best
}

// clocksFinding says what the differences mean for leases. There are two offsets at least.
func clocksFinding(offsets []offset, ttl, skew time.Duration) Finding {
	apart, off := greatest(offsets)
	least, most := max(apart-off, 0), apart+off
	f := Finding{What: "clocks of the servers", Verdict: VerdictGood}
	f.Found = fmt.Sprintf("up to %s apart, give or take %s:", rounded(apart), rounded(off))
	for _, o := range offsets {
		f.Found += fmt.Sprintf(" %s %+.3fs,", o.name, (o.ahead - offsets[0].ahead).Seconds())
	}
	f.Found = strings.TrimSuffix(f.Found, ",")
	if skew > 0 {
		f.Found += fmt.Sprintf("; ClockSkew is %s", skew)
	}
	if most <= max(skew, clocksAgree) {
		return f
	}
	f.Verdict = VerdictNotice
	why := "such a difference is taken from a holder's time between a check and an act"
	if least > skew+clock.Margin(ttl) {
		f.Verdict = VerdictBad
		why = fmt.Sprintf("after a failover the next holder may come before one with a TTL of %s has given up", ttl)
	}
	f.Advice = fmt.Sprintf("%s: set the clocks (chronyd, ntpd), or set ClockSkew to more than %s everywhere "+
		"(Options.ClockSkew, sqllock run --clock-skew)", why, rounded(most))
	return f
}

// greatest returns the greatest difference between two offsets, and how far it may be off.
func greatest(offsets []offset) (apart, off time.Duration) {
	for i, a := range offsets {
		for _, b := range offsets[:i] {
			if d := (a.ahead - b.ahead).Abs(); d+a.off+b.off > apart+off {
				apart, off = d, a.off+b.off
			}
		}
	}
	return apart, off
}

// rounded returns d for people.
func rounded(d time.Duration) time.Duration {
	if d >= time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
