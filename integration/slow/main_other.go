//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "slow: only Linux lets a process delay another's flushes")
	os.Exit(2)
}
