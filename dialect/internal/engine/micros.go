package engine

import "time"

// Micros returns d in microseconds, rounded up: a lock is never freed earlier than requested.
func Micros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 {
		us++
	}
	return us
}

// Duration is the inverse of Micros. It clamps to the range of time.Duration, some 292 years.
func Duration(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(max(us, -most), most)) * time.Microsecond
}
