package dialecttest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// get checks reads of lock rows with their leases.
func get(s *suite) {
	s.run("in the order requested", func(s *suite) {
		lease := s.lease(long)
		a, b := request(unique("a"), lease), request(unique("b"), lease)
		b.Slot = 3
		fa, fb := s.take(a), s.take(b)
		missing := dialect.Key{Name: unique("missing"), Slot: 2}
		rows := ask(s, s.d.Get, b.Key, missing, a.Key, b.Key)
		if rows[1] != (dialect.Row{Key: missing}) {
			s.Errorf("a row that isn't there is %+v", rows[1])
		}
		for i, want := range map[int]dialect.Row{
			0: {Key: b.Key, Fence: fb, Owner: b.Owner},
			2: {Key: a.Key, Fence: fa, Owner: a.Owner},
			3: {Key: b.Key, Fence: fb, Owner: b.Owner},
		} {
			if got := rows[i]; got.Key != want.Key || got.Fence != want.Fence || got.Owner != want.Owner || !got.Held {
				s.Errorf("row %d is %+v, want %+v", i, got, want)
			}
		}
	})
	s.run("the lease's states", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		s.take(r)
		if row := s.get(r.Key); row.Lease == dialect.LeaseLive && (row.Remaining <= 0 || row.Holder == "") {
			s.Errorf("live: %+v", row)
		}
		s.eventually("lease runs out", func() bool { return s.get(r.Key).Lease == dialect.LeaseExpired })
		if row := s.get(r.Key); row.Remaining > 0 || row.Holder == "" || !row.Held {
			s.Errorf("expired: %+v", row)
		}
		s.waitExpired(r.LeaseID)
		if row := s.get(r.Key); row.Lease != dialect.LeaseGone || row.Remaining != 0 || row.Holder != "" || !row.Held {
			s.Errorf("gone: %+v", row)
		}
	})
	s.run("the moment of the last change of hands", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		first := s.get(r.Key).AcquiredAt
		if off := time.Since(first); off > 10*time.Minute || off < -10*time.Minute {
			s.Errorf("AcquiredAt %s is %s ago: another time zone?", first, off)
		}
		s.release(claim(r))
		start := time.Now()
		time.Sleep(50 * time.Millisecond)
		s.take(r)
		passed := time.Since(start)
		if got := s.get(r.Key).AcquiredAt.Sub(first); got < 50*time.Millisecond-slack || got > passed+soon {
			s.Errorf("AcquiredAt is %s after the one before", got)
		}
	})
}

// list checks that List returns every lock row once, in the byte order of the names, a page at a
// time.
func list(s *suite) {
	lease := s.lease(long)
	all, free := []dialect.Key{}, map[dialect.Key]bool{}
	for i, name := range names() {
		for slot := range 1 + i%3 {
			r := request(name, lease)
			r.Slot = slot
			s.take(r)
			if (i+slot)%2 == 0 {
				s.release(claim(r))
				free[r.Key] = true
			}
			all = append(all, r.Key)
		}
	}
	slices.SortFunc(all, func(a, b dialect.Key) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Slot, b.Slot))
	})
	held := slices.DeleteFunc(slices.Clone(all), func(k dialect.Key) bool { return free[k] })
	for _, limit := range []int{5, 1000} {
		s.pages(limit, false, all)
		s.pages(limit, true, held)
	}
	rows := s.page(dialect.Key{}, false, 1000)
	got := ask(s, s.d.Get, all...)
	for i := range min(len(rows), len(got)) {
		if still(rows[i]) != still(got[i]) {
			s.Errorf("List returns %+v, Get returns %+v", rows[i], got[i])
		}
	}
	if rows := s.page(dialect.Key{}, false, 0); len(rows) != 0 {
		s.Errorf("a page with limit 0 has %d rows", len(rows))
	}
}

func (s *suite) page(after dialect.Key, heldOnly bool, limit int) []dialect.Row {
	s.Helper()
	rows, err := retryTransient(s, func(ctx context.Context) ([]dialect.Row, error) {
		return s.d.List(ctx, after, heldOnly, limit)
	})
	s.must(err)
	return rows
}

func (s *suite) pages(limit int, heldOnly bool, want []dialect.Key) {
	s.Helper()
	var got []dialect.Key
	for after := (dialect.Key{}); ; after = got[len(got)-1] {
		rows := s.page(after, heldOnly, limit)
		if len(rows) > limit {
			s.Fatalf("a page of %d has %d rows", limit, len(rows))
		}
		for _, row := range rows {
			got = append(got, row.Key)
			if !row.Exists || heldOnly && !row.Held {
				s.Errorf("listed: %+v", row)
			}
		}
		if len(rows) < limit || len(got) > len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.Errorf("pages of %d, held only %t:\n got %v\nwant %v", limit, heldOnly, got, want)
	}
}
