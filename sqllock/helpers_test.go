package sqllock_test

import (
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
)

// The helpers that the tests of several packages share.
var (
	bubble      = testkit.Bubble
	client      = testkit.Client
	pollOnly    = testkit.PollOnly
	mustTry     = testkit.MustTry
	mustTake    = testkit.MustTake
	fenceOf     = testkit.FenceOf
	mustHeld    = testkit.MustHeld
	mustRelease = testkit.MustRelease
	wantErr     = testkit.WantErr
	endsWithin  = testkit.EndsWithin
	database    = testkit.NewDatabase
	process     = testkit.Process
)
