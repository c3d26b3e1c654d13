package election_test

import (
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
)

// The helpers that the tests of several packages share.
var (
	bubble   = testkit.Bubble
	client   = testkit.Client
	pollOnly = testkit.PollOnly
	wantErr  = testkit.WantErr
	database = testkit.NewDatabase
	process  = testkit.Process
)
