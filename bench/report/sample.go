// Package report turns measurements into tables and plots.
package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sample is one figure as measured in each round.
type Sample []float64

// Median returns the middle value, or the mean of the two middle values. It returns NaN if there is
// none.
func (s Sample) Median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Min returns the smallest value, or NaN if there is none.
func (s Sample) Min() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	return slices.Min(s)
}

// Max returns the greatest value, or NaN if there is none.
func (s Sample) Max() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	return slices.Max(s)
}

// Percentile returns the smallest of the durations that at least p percent of them don't exceed
// (the nearest rank). It returns zero if there are none. It sorts durations.
func Percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	rank := int(math.Ceil(p / 100 * float64(len(durations))))
	return durations[min(max(rank, 1), len(durations))-1]
}

// String returns the median, with the range in brackets if the rounds differ.
func (s Sample) String() string {
	if len(s) == 0 {
		return "–"
	}
	middle, low, high := Number(s.Median()), Number(s.Min()), Number(s.Max())
	if low == high {
		return middle
	}
	return fmt.Sprintf("%s (%s–%s)", middle, low, high)
}

// Number formats a figure to three digits, with commas between thousands.
func Number(f float64) string {
	if f == 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	if a := math.Abs(f); a < 100 {
		digits := max(0, 2-int(math.Floor(math.Log10(a))))
		text := strconv.FormatFloat(f, 'f', digits, 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	text := strconv.FormatFloat(math.Abs(f), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if f < 0 {
		text = "-" + text
	}
	return text
}
