package dialecttest

import (
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// names returns pairs that a database might take for the same, order differently, truncate, or read
// as SQL.
func names() []string {
	return []string{
		"a", "A", "aa", "a b", "a-b", "a_b", "a!", "ab", "Ab", "a\u0301", "\u00e1", "ä", "ae", "ß", "ss", "ẞ", "SS",
		"i", "I", "ı", "İ", "ﬁ", "fi", "①", "1", "１", "01", "1.0", "Ω", "\u2126", "к", "k", "\u212a",
		"가", "\u1100\u1161", "ん", "ン", "ﾝ", "日本", "عربي", "עברית",
		"x\u200b", "x\u00ad", "x\u200d", "x\u2060", "x\ufeff", "\ufeffx", "x\ufe0f", "x", "x\u034f",
		"\uffee", "😀", "😁", "👩‍👩‍👧", "👩", "\U0010fffd", "\ue000", "\ufffd",
		"%", "_", "a%", "'", "''", "\"", "`", "\\", "\\'", "\\0", "$1", "?", ":a", "@a",
		"--", "/*", ";", "{}", "[]", "null",
		"NULL", "true", "0", "-1", "<&>", "\\u0061", strings.Repeat("n", 254), strings.Repeat("n", 255),
		strings.Repeat("n", 254) + "N", strings.Repeat("é", 127) + "x", "x" + strings.Repeat("😀", 63),
	}
}

// text checks that names are compared byte for byte, and that a text is stored unchanged or
// refused, never truncated.
func text(s *suite) {
	lease := s.lease(long)
	s.run("every name is a lock of its own", func(s *suite) {
		var taken []dialect.Request
		fences := make(map[dialect.Key]int64)
		for _, name := range names() {
			r := request(name, lease)
			fences[r.Key] = s.take(r)
			taken = append(taken, r)
		}
		for _, r := range taken {
			s.held(r, fences[r.Key])
		}
		for _, r := range slices.Backward(taken) {
			if !s.release(claim(r)) {
				s.Errorf("%q: not its owner's", r.Name)
			}
		}
	})
	s.run("the same in one batch", func(s *suite) {
		var requests []dialect.Request
		for _, name := range names() {
			r := request(name, lease)
			r.Slot, r.Note = 7, name
			requests = append(requests, r)
		}
		for i, g := range ask(s, s.d.Acquire, requests...) {
			if !g.Granted {
				s.Fatalf("%q refused", requests[i].Name)
			}
			if row := s.held(requests[i], g.Fence); row.Note != requests[i].Name {
				s.Errorf("note %q for %q", row.Note, requests[i].Name)
			}
		}
	})
	s.run("owners are compared byte for byte", func(s *suite) {
		for _, pair := range [][2]string{{"a", "A"}, {"é", "e\u0301"}, {"ss", "ß"}, {"x", "x\u200b"}} {
			r := request(unique("lock"), lease)
			r.Owner = pair[0]
			s.take(r)
			r.Owner = pair[1]
			s.refused(r)
			if s.release(claim(r)) {
				s.Errorf("owner %q released the lock of %q", pair[1], pair[0])
			}
		}
	})
	s.run("whole or refused", unchangedOrRefused)
}

func unchangedOrRefused(s *suite) {
	for _, n := range []int{64, 255, 256, 1000, 70_000} {
		id := unique("lease")
		holder := strings.Repeat("é", n)
		if err := s.d.CreateLease(s.ctx, dialect.Lease{ID: id, Holder: holder, TTL: long}); err != nil {
			if n <= 255 {
				s.Errorf("a holder of %d characters: %v", n, err)
			}
			id, holder = s.lease(long), ""
		}
		for _, field := range []string{"note", "owner", "name"} {
			r := request(unique("lock"), id)
			switch field {
			case "note":
				r.Note = strings.Repeat("é", n)
			case "owner":
				r.Owner = strings.Repeat("o", n)
			case "name":
				r.Name = unique(strings.Repeat("n", n-17))
			}
			grants, err := s.d.Acquire(s.ctx, []dialect.Request{r})
			if err != nil {
				if n <= 64 || field != "owner" && n <= 255 {
					s.Errorf("a %s of %d characters: %v", field, n, err)
				}
				continue
			}
			row := s.held(r, grants[0].Fence)
			if row.Note != r.Note || holder != "" && row.Holder != holder {
				s.Errorf("%s of %d characters: not what was written", field, n)
			}
		}
	}
}
