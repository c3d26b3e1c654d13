//go:build unix

package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// terminalSize returns an error if the file isn't a terminal.
func terminalSize(file *os.File) error {
	_, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	return err
}

// onResize returns a channel that receives when the terminal's size changes, until forget is
// called.
func onResize() (resized <-chan os.Signal, forget func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
