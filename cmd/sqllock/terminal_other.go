//go:build !unix

package main

import (
	"errors"
	"os"
)

// terminalSize returns an error: terminals aren't recognized here.
func terminalSize(*os.File) error { return errors.ErrUnsupported }

// onResize returns a channel that never receives.
func onResize() (resized <-chan os.Signal, forget func()) { return nil, func() {} }
