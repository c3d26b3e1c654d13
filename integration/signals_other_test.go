//go:build !unix

package integration

import (
	"errors"
	"os"
)

var errNoSignals = errors.New("freezing a process needs Unix")

func stopProcess(*os.Process) error { return errNoSignals }
func contProcess(*os.Process) error { return errNoSignals }
func freezeSelf() error             { return errNoSignals }
