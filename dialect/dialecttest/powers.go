package dialecttest

import "github.com/sqllock/sqllock/dialect"

// powers: the dialect has what its harness says, so that none can be lost without a test that fails.
func powers(s *suite) {
	_, isSession := s.d.(dialect.SessionLocker)
	_, isTx := s.d.(dialect.TxLocker)
	_, isChecker := s.d.(dialect.Checker)
	_, isWaker := s.d.(dialect.Waker)
	for _, p := range []struct {
		name        string
		is, claimed bool
	}{
		{"SessionLocker", isSession, s.Powers.Session},
		{"TxLocker", isTx, s.Powers.Tx},
		{"Checker", isChecker, s.Powers.Check},
		{"Waker", isWaker, s.Powers.Wakes},
	} {
		if p.is != p.claimed {
			s.Errorf("is it a dialect.%s: %t; Harness.Powers says %t", p.name, p.is, p.claimed)
		}
	}
	if (s.Powers.SessionShared || s.Powers.Holders) && !isSession || s.Powers.TxShared && !isTx {
		s.Errorf("Harness.Powers says more about a power than that it isn't there: %+v", s.Powers)
	}
}
