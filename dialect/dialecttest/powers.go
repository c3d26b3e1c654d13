package dialecttest

import "github.com/sqllock/sqllock/dialect"

// powers checks that the dialect has the powers that its harness lists, so that none can be lost
// unnoticed.
func powers(s *suite) {
	_, isSession := s.d.(dialect.SessionLocker)
	_, isTx := s.d.(dialect.TxLocker)
	_, isChecker := s.d.(dialect.Checker)
	_, isNotifier := s.d.(dialect.Notifier)
	for _, p := range []struct {
		name        string
		is, claimed bool
	}{
		{"SessionLocker", isSession, s.Powers.Session},
		{"TxLocker", isTx, s.Powers.Tx},
		{"Checker", isChecker, s.Powers.Check},
		{"Notifier", isNotifier, s.Powers.Notifier},
	} {
		if p.is != p.claimed {
			s.Errorf("implements dialect.%s: %t; in Harness.Powers: %t", p.name, p.is, p.claimed)
		}
	}
	if (s.Powers.SessionShared || s.Powers.Holders) && !isSession || s.Powers.TxShared && !isTx {
		s.Errorf("Harness.Powers has details of a power that isn't there: %+v", s.Powers)
	}
}
