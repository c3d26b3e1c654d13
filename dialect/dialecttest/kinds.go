package dialecttest

// kinds checks that a name of one kind of lock is independent of the same name of another kind.
func kinds(s *suite) {
	lock := serverLock()
	lease := request(lock.Name, s.lease(long))
	fence := s.take(lease)
	if s.Powers.Session {
		holder := s.open("holder")
		holder.takes(lock)
		defer func() { s.open("another").isRefused(lock) }() // even after the other kinds were used
	}
	if s.Powers.Tx && s.DB != nil {
		tx := s.begin(0)
		s.takesTx(tx, lock)
		if !s.SingleWriter {
			s.refusedTx(s.begin(0), lock)
			if s.Powers.Session {
				s.open("another").isRefused(lock)
			}
			s.must(tx.Commit())
		}
		tx.Rollback()
	}
	s.held(lease, fence)
	s.refused(request(lock.Name, lease.LeaseID))
	if !s.release(claim(lease)) {
		s.Error("the lease lock was no longer its owner's")
	}
}
