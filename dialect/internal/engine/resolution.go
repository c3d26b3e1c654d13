package engine

import "time"

// Resolution finds the unit of a clock by reading the fraction of its second a few times: the
// smallest power of ten that these are multiples of.
func Resolution(fraction func() (time.Duration, error)) (time.Duration, error) {
	least, last := time.Second, time.Duration(0)
	for range 10 {
		now, err := fraction()
		if err != nil {
			return 0, err
		}
		for unit := time.Second; unit > 0; unit /= 10 {
			if now != last && now%unit == 0 {
				least = min(least, unit)
				break
			}
		}
		last = now
	}
	return least, nil
}
