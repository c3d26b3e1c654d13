package sqllock

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// clocked is a server of a cluster whose clock is ahead of this process's.
type clocked struct {
	*sqllocktest.Dialect
	ahead  time.Duration
	err    error
	others []string
}

func (d clocked) ReadClock(context.Context) (time.Time, error) { return time.Now().Add(d.ahead), d.err }

func (d clocked) Members(context.Context) ([]string, error) { return d.others, nil }

// TestCheckClocks compares the clocks of a database's server and of two others.
func TestCheckClocks(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	unread := clocked{err: errors.New("no route")}
	ahead := func(by ...time.Duration) (members []dialect.Dialect) {
		for _, d := range by {
			members = append(members, clocked{ahead: d})
		}
		return members
	}
	for name, test := range map[string]struct {
		skew    time.Duration
		own     clocked
		members []dialect.Dialect
		want    string // the verdicts, and texts of the findings
	}{
		"alone":             {0, clocked{}, nil, ""},
		"agree":             {0, clocked{}, ahead(5*ms, 0), "good clocks of the servers"},
		"covered":           {3 * s, clocked{ahead: s}, ahead(2500*ms, -s/4), "good up to 2.75s ClockSkew is 3s"},
		"not covered":       {s, clocked{ahead: -s}, ahead(s / 2), "notice up to 1.5s a check and an act 1.5"},
		"beyond the margin": {s, clocked{}, ahead(0, -3*s), "bad m2 -3.000s may come before ClockSkew to more than 3s"},
		"without ClockSkew": {0, clocked{}, ahead(1100 * ms), "bad m1 +1.100s"},
		"one can't be read": {0, clocked{}, append(ahead(), unread, clocked{}), "notice good m1 no route m2 +0.000s"},
		"none can be read":  {0, clocked{}, []dialect.Dialect{unread}, "notice clock of m1"},
		"without a clock":   {0, clocked{}, []dialect.Dialect{sqllocktest.New()}, "notice no clock of its own"},
		"not compared":      {0, clocked{others: []string{"b", "c"}}, nil, "notice none was compared: b, c --member"},
		"one compared":      {0, clocked{others: []string{"b", "c"}}, ahead(0), "good notice 1 compared: b, c"},
	} {
		t.Run(name, func(t *testing.T) {
			test.own.Dialect = sqllocktest.New()
			c, err := New(t.Context(), test.own, &Options{ClockSkew: test.skew, ReapEvery: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			var members []Member
			for i, d := range test.members {
				members = append(members, Member{Name: []string{"m1", "m2"}[i], Dialect: d})
			}
			findings, err := c.Check(t.Context(), members...)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(findings)
			for text := range strings.SplitSeq(test.want, " ") {
				if !strings.Contains(got, text) {
					t.Errorf("no %q in: %s", text, got)
				}
			}
			if (got == "") != (test.want == "") {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// describe returns the findings about clocks as one text, their verdicts first.
func describe(findings []Finding) string {
	var verdicts, text []string
	for _, f := range findings {
		if !strings.HasPrefix(f.What, "clock") {
			continue
		}
		verdicts = append(verdicts, string(f.Verdict))
		text = append(text, f.What, f.Found, f.Advice)
	}
	return strings.Join(append(verdicts, text...), " ")
}
