package engine

import "time"

// Micros is d in microseconds, rounded up: a lock is never freed earlier than asked.
func Micros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 {
		us++
	}
	return us
}

// Duration is the opposite of Micros. What time.Duration can't hold, some 292 years, becomes its limit.
func Duration(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(max(us, -most), most)) * time.Microsecond
}
