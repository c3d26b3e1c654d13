//go:build !linux

package sqlite

// networkDisk returns "": this system doesn't tell.
func networkDisk(string) string { return "" }
