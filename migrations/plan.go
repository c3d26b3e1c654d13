package migrations

// All applies every migration there is.
const All = -1

// A plan says, for the version that the database is at, which migrations to apply. It may ask for fewer than it was
// told to and answer how many are short, or refuse.
type plan func(files []File, at int) (steps []Step, short int, err error)

func up(n int) plan {
	return func(files []File, at int) ([]Step, int, error) {
		i, known := index(files, at)
		if !known {
			return nil, 0, unknownVersion(files, at)
		}
		var steps []Step
		for i++; i < len(files) && len(steps) != n; i++ {
			steps = append(steps, Step{File: files[i], target: int(files[i].Version)})
		}
		return limited(steps, n)
	}
}

func down(n int) plan {
	return func(files []File, at int) ([]Step, int, error) {
		i, known := index(files, at)
		if !known {
			return nil, 0, unknownVersion(files, at)
		}
		var steps []Step
		for ; i >= 0 && len(steps) != n; i-- {
			target := -1
			if i > 0 {
				target = int(files[i-1].Version)
			}
			steps = append(steps, Step{File: files[i], Down: true, target: target})
		}
		return limited(steps, n)
	}
}

// limited answers as golang-migrate does where n were asked for and there are fewer: those that there are, and then an
// error.
func limited(steps []Step, n int) ([]Step, int, error) {
	if n == All {
		return steps, 0, nil
	}
	return steps, n - len(steps), nil
}

func goTo(version uint) plan {
	return func(files []File, at int) ([]Step, int, error) {
		from, known := index(files, at)
		if !known {
			return nil, 0, unknownVersion(files, at)
		}
		to, known := index(files, int(version))
		if !known {
			return nil, 0, &UnknownVersionError{Version: version, Latest: files[len(files)-1].Version, Asked: true}
		}
		switch {
		case to > from:
			return up(to-from)(files, at)
		case to < from:
			return down(from-to)(files, at)
		}
		return nil, 0, nil
	}
}

func unknownVersion(files []File, at int) error {
	return &UnknownVersionError{Version: uint(at), Latest: files[len(files)-1].Version}
}
