package cli

import (
	"errors"
	"strconv"
	"time"
)

// Duration is a flag whose value is a number of seconds or a duration like 2m.
type Duration time.Duration

// String returns the value as a duration.
func (t *Duration) String() string { return time.Duration(*t).String() }

// Type returns what the value is.
func (t *Duration) Type() string { return "seconds" }

// Set parses the value.
func (t *Duration) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, notSeconds := strconv.ParseUint(text, 10, 31); notSeconds == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return errors.New("want seconds, 0 or more, or a duration like 2m")
	}
	*t = Duration(d)
	return nil
}
