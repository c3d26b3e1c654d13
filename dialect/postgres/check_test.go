package postgres

import (
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

func TestFindings(t *testing.T) {
	fine := settings{
		number: "18.4", readOnly: "off", isolation: "read committed", synchronous: "on", fsync: "on",
	}
	with := func(change func(*settings)) settings {
		s := fine
		change(&s)
		return s
	}
	for _, c := range []struct {
		settings settings
		what     string
		want     dialect.Verdict
	}{
		{fine, "", dialect.VerdictGood},
		{with(func(s *settings) { s.standby = true }), "writes", dialect.VerdictBad},
		{with(func(s *settings) { s.readOnly = "on" }), "writes", dialect.VerdictBad},
		{with(func(s *settings) { s.isolation = "repeatable read" }), "default isolation level", dialect.VerdictNotice},
		{with(func(s *settings) { s.isolation = "serializable" }), "default isolation level", dialect.VerdictNotice},
		{with(func(s *settings) { s.isolation = "read uncommitted" }), "", dialect.VerdictGood},
		{with(func(s *settings) { s.synchronous = "off" }), "durability", dialect.VerdictNotice},
		{with(func(s *settings) { s.synchronous = "remote_apply" }), "", dialect.VerdictGood},
		{with(func(s *settings) { s.fsync = "off" }), "durability", dialect.VerdictNotice},
		{with(func(s *settings) { s.fsync = "" }), "", dialect.VerdictGood},
		{
			with(func(s *settings) { s.timeouts = "statement_timeout=5000ms" }), "time-outs of the server",
			dialect.VerdictNotice,
		},
	} {
		for _, f := range c.settings.findings() {
			want := dialect.VerdictGood
			if f.What == c.what {
				want = c.want
			}
			if f.Verdict != want || f.Found == "" || (f.Advice == "") != (want == dialect.VerdictGood) {
				t.Errorf("finding %+v of %+v, want verdict %s", f, c.settings, want)
			}
		}
	}
	for clock, want := range map[clockStep]dialect.Verdict{
		{step: time.Microsecond}:             dialect.VerdictGood,
		{step: time.Millisecond}:             dialect.VerdictGood,
		{step: 10 * time.Millisecond}:        dialect.VerdictNotice,
		{}:                                   dialect.VerdictBad,
		{step: time.Microsecond, back: true}: dialect.VerdictBad,
	} {
		if f := clock.finding(); f.Verdict != want || (f.Advice == "") != (want == dialect.VerdictGood) {
			t.Errorf("finding %+v of %+v, want verdict %s", f, clock, want)
		}
	}
	for room, want := range map[limits]dialect.Verdict{
		{connections: 97, used: 4}:  dialect.VerdictGood,
		{connections: 97, used: 90}: dialect.VerdictNotice,
	} {
		if f := room.finding(); f.Verdict != want || (f.Advice == "") != (want == dialect.VerdictGood) {
			t.Errorf("finding %+v of %+v, want verdict %s", f, room, want)
		}
	}
}
