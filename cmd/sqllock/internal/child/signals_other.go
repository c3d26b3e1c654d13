//go:build !unix

package child

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals returns a channel of the signals that end this process.
func Signals() chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return signals
}

// Ends reports whether a signal asks this process to end.
func Ends(os.Signal) bool { return true }

// Suspends reports false: a process can't stop itself here.
func Suspends(os.Signal) bool { return false }

// Suspend does nothing.
func Suspend() {}

// Continues reports false: no signal continues a process here.
func Continues(os.Signal) bool { return false }
