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
	but := func(change func(*settings)) settings {
		s := fine
		change(&s)
		return s
	}
	for _, c := range []struct {
		settings settings
		what     string
		want     dialect.Verdict
	}{
		{fine, "", dialect.Good},
		{but(func(s *settings) { s.standby = true }), "writes", dialect.Bad},
		{but(func(s *settings) { s.readOnly = "on" }), "writes", dialect.Bad},
		{but(func(s *settings) { s.isolation = "repeatable read" }), "default isolation level", dialect.Notice},
		{but(func(s *settings) { s.isolation = "serializable" }), "default isolation level", dialect.Notice},
		{but(func(s *settings) { s.isolation = "read uncommitted" }), "", dialect.Good},
		{but(func(s *settings) { s.synchronous = "off" }), "durability", dialect.Notice},
		{but(func(s *settings) { s.synchronous = "remote_apply" }), "", dialect.Good},
		{but(func(s *settings) { s.fsync = "off" }), "durability", dialect.Notice},
		{but(func(s *settings) { s.fsync = "" }), "", dialect.Good},
		{but(func(s *settings) { s.timeouts = "statement_timeout=5000ms" }), "time-outs of the server", dialect.Notice},
	} {
		for _, f := range c.settings.findings() {
			want := dialect.Good
			if f.What == c.what {
				want = c.want
			}
			if f.Verdict != want || f.Found == "" || (f.Advice == "") != (want == dialect.Good) {
				t.Errorf("%+v of %+v, want %s", f, c.settings, want)
			}
		}
	}
	for clock, want := range map[clockStep]dialect.Verdict{
		{step: time.Microsecond}:             dialect.Good,
		{step: time.Millisecond}:             dialect.Good,
		{step: 10 * time.Millisecond}:        dialect.Notice,
		{}:                                   dialect.Bad,
		{step: time.Microsecond, back: true}: dialect.Bad,
	} {
		if f := clock.finding(); f.Verdict != want || (f.Advice == "") != (want == dialect.Good) {
			t.Errorf("%+v of %+v, want %s", f, clock, want)
		}
	}
	for room, want := range map[limits]dialect.Verdict{
		{connections: 97, used: 4}:  dialect.Good,
		{connections: 97, used: 90}: dialect.Notice,
	} {
		if f := room.finding(); f.Verdict != want || (f.Advice == "") != (want == dialect.Good) {
			t.Errorf("%+v of %+v, want %s", f, room, want)
		}
	}
}
