package sqllock

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sqllock/sqllock/sqllock/internal/request"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{
		"a", "report/nightly", "Ünïcode 🔒", "a b", strings.Repeat("x", MaxNameBytes), "%_'\"\\;--",
	} {
		if err := CheckName(good); err != nil {
			t.Errorf("CheckName(%q) = %v; want nil", good, err)
		}
	}
	for bad, rule := range map[string]string{
		"":                                    "empty",
		" a":                                  "space",
		"a\u00a0":                             "space",
		"a\n":                                 "space",
		"a\x00b":                              "control",
		"a\u0085b":                            "control",
		"a\xff":                               "not UTF-8",
		strings.Repeat("x", MaxNameBytes+1):   "at most 255",
		strings.Repeat("ü", MaxNameBytes/2+1): "at most 255",
	} {
		if err := CheckName(bad); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), rule) {
			t.Errorf("CheckName(%.20q) = %v; want an ErrInvalid that says %q", bad, err, rule)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("a")
	f.Add(" \xff\u2028")
	f.Fuzz(func(t *testing.T, name string) {
		err := CheckName(name)
		good := name != "" && len(name) <= MaxNameBytes && utf8.ValidString(name)
		for i, r := range name {
			edge := i == 0 || i+utf8.RuneLen(r) == len(name)
			good = good && !unicode.IsControl(r) && !(edge && unicode.IsSpace(r))
		}
		if good != (err == nil) {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
		if err != nil && (!errors.Is(err, ErrInvalid) || !utf8.ValidString(err.Error())) {
			t.Errorf("CheckName(%q): %q is no proper ErrInvalid", name, err)
		}
	})
}

func TestRequestLimits(t *testing.T) {
	made := func(opts ...Option) (acquisition, error) {
		return newRequest(&core{opts: Options{TTL: DefaultTTL}}, request.Request{Name: "a"}, opts, Option.ApplyLock)
	}
	for what, opts := range map[string][]Option{
		"TTL of zero":          {WithTTL(0)},
		"negative TTL":         {WithTTL(-time.Second)},
		"TTL under the least":  {WithTTL(MinTTL - 1)},
		"TTL over the most":    {WithTTL(MaxTTL + 1)},
		"long note":            {WithNote(strings.Repeat("x", 256))},
		"note with a newline":  {WithNote("a\nb")},
		"negative HoldAtLeast": {HoldAtLeast(-1)},
		"endless HoldAtLeast":  {HoldAtLeast(MaxHold + 1)},
		"negative LockDelay":   {LockDelay(-1)},
		"endless LockDelay":    {LockDelay(MaxHold + 1)},
		"nil option":           {nil},
	} {
		if _, err := made(opts...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error is %v; want ErrInvalid", what, err)
		}
	}
	req, err := made(WithTTL(MinTTL), WithNote("n"), HoldAtLeast(1), LockDelay(MaxHold))
	if err != nil || req.TTL != MinTTL || req.Note != "n" || req.LockDelay != MaxHold {
		t.Errorf("request = %+v, %v", req, err)
	}
	if got := request.ToMicros(req.HoldAtLeast); got != time.Microsecond {
		t.Errorf("HoldAtLeast(1ns) is kept as %s; want it rounded up to 1µs", got)
	}
}

func TestOptionsLimits(t *testing.T) {
	for what, o := range map[string]*Options{
		"short TTL":           {TTL: time.Millisecond},
		"negative TTL":        {TTL: -1},
		"negative PurgeAfter": {PurgeAfter: -1},
		"bad holder":          {Holder: "a\nb"},
	} {
		if _, err := o.withDefaults(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error is %v; want ErrInvalid", what, err)
		}
	}
	o, err := (*Options)(nil).withDefaults()
	if err != nil || o.TTL != DefaultTTL || CheckName(o.Holder) != nil {
		t.Errorf("defaults = %+v, %v", o, err)
	}
}
