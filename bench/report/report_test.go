package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	for _, c := range []struct {
		in               Sample
		median, min, max float64
		text             string
	}{
		{Sample{3, 1, 2}, 2, 1, 3, "2 (1–3)"},
		{Sample{4, 1, 2, 3}, 2.5, 1, 4, "2.5 (1–4)"},
		{Sample{7}, 7, 7, 7, "7"},
		{Sample{7, 7}, 7, 7, 7, "7"},
		{Sample{12345.6, 1000}, 6672.8, 1000, 12345.6, "6,673 (1,000–12,346)"},
	} {
		if m, low, high := c.in.Median(), c.in.Min(), c.in.Max(); m != c.median || low != c.min || high != c.max {
			t.Errorf("%v: %v (%v–%v), want %v (%v–%v)", []float64(c.in), m, low, high, c.median, c.min, c.max)
		}
		if c.in.String() != c.text {
			t.Errorf("%v is %q, want %q", []float64(c.in), c.in, c.text)
		}
	}
	if s := (Sample{}); !math.IsNaN(s.Median()) || !math.IsNaN(s.Min()) || !math.IsNaN(s.Max()) || s.String() != "–" {
		t.Errorf("nothing measured is %q", s)
	}
	unsorted := Sample{3, 1, 2}
	if unsorted.Median(); unsorted[0] != 3 {
		t.Error("Median has changed the order of the rounds")
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 1: 1, 50: 50, 50.5: 51, 99: 99, 99.1: 100, 100: 100} {
		if got := Percentile(hundred, p); got != want {
			t.Errorf("p%v of 1…100 is %d, want %d", p, got, want)
		}
	}
	if got := Percentile([]time.Duration{9, 5}, 50); got != 5 {
		t.Errorf("the median of 5 and 9 by nearest rank is %d, want 5", got)
	}
	if got := Percentile([]time.Duration{5}, 99); got != 5 {
		t.Errorf("p99 of 5 alone is %d, want 5", got)
	}
	if got := Percentile(nil, 50); got != 0 {
		t.Errorf("the median of nothing is %d, want 0", got)
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 1: "1", 0.01234: "0.0123", 0.5: "0.5", 1.005: "1", 9.999: "10", 12.34: "12.3", 99.97: "100",
		10: "10", 20: "20",
		123.4: "123", 999.6: "1,000", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234", 100: "100",
	} {
		if got := Number(in); got != want {
			t.Errorf("Number(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	table := Table{Title: "Cycles", Text: "How many.", Columns: []string{"1", "8"}}
	table.Row("ours")
	table.Add("theirs", "8", 10)
	table.Add("ours", "1", 1)
	table.Add("ours", "1", 3)
	table.Say("theirs", "1", "can't | won't")
	table.Say("ours", "1", "words are replaced by figures")
	table.Add("ours", "64", 5)
	table.Note("once")
	table.Note("once")
	const want = `## Cycles

How many.

|  | 1 | 8 | 64 |
| --- | ---: | ---: | ---: |
| ours | 2 (1–3) | – | 5 |
| theirs | can't \| won't | 10 | – |

- once
`
	if got := table.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.svg")
	lines := []Line{
		{Name: "quick", Bold: true, At: []float64{1, 8}, Value: []Sample{{10, 20, 30}, {100}}},
		{Name: "nothing measured", At: []float64{1}, Value: []Sample{nil}},
		{Name: "zero", At: []float64{1}, Value: []Sample{{0}}}, // can't be shown on a logarithmic axis
	}
	if err := Plot(path, "Title", "x", "y", lines); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]bool{"quick": true, "Title": true, "nothing measured": false, "zero": false} {
		if strings.Contains(string(text), ">"+part+"<") != want {
			t.Errorf("the plot has %q: want %t", part, want)
		}
	}
	if err := Plot(path, "Title", "x", "y", lines[1:]); err != nil {
		t.Error("nothing to draw:", err)
	}
}
