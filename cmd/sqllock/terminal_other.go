//go:build !unix

package main

import (
	"errors"
	"os"
)

// terminalSize returns an error: terminals aren't recognized here.
func terminalSize(*os.File) error { return errors.ErrUnsupported }
