//go:build unix

package main

// shell returns the command that runs a line by the shell.
func shell(line string) []string { return []string{"/bin/sh", "-c", line} }
