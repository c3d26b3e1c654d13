//go:build !linux

package sqlite

// networkDisk can't be told here.
func networkDisk(string) string { return "" }
