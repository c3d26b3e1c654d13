package sqlite

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The bytes that SQLite locks on behalf of a writer: in the file itself, and in the index of a
// write-ahead log.
const (
	reservedByte  = 0x40000001
	walWriterByte = 120
)

// lockingProcess returns the process that has the write lock of the database, or 0 if the kernel
// doesn't tell. Asking by fcntl would need a descriptor of the file, and closing that would drop
// SQLite's own locks.
func lockingProcess(file string) int {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	if pid := processThatLocks(string(locks), file+"-shm", walWriterByte); pid != 0 {
		return pid
	}
	return processThatLocks(string(locks), file, reservedByte)
}

// processThatLocks reads lines like
//
//	3: POSIX  ADVISORY  WRITE 4711 fd:01:123456 1073741825 1073741825
func processThatLocks(locks, file string, at uint64) int {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) != 8 || f[1] != "POSIX" || f[3] != "WRITE" || !isDevice(f[5], stat) {
			continue
		}
		first, err := strconv.ParseUint(f[6], 10, 64)
		last, failed := strconv.ParseUint(f[7], 10, 64)
		if err != nil || failed != nil && f[7] != "EOF" || first > at || failed == nil && last < at {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		if err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// isDevice reports whether MAJOR:MINOR:INODE is that of the file.
func isDevice(s string, stat *syscall.Stat_t) bool {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return false
	}
	major, err := strconv.ParseUint(parts[0], 16, 32)
	minor, err2 := strconv.ParseUint(parts[1], 16, 32)
	inode, err3 := strconv.ParseUint(parts[2], 10, 64)
	device := uint64(stat.Dev) //nolint:unconvert // its type depends on the architecture
	return err == nil && err2 == nil && err3 == nil && inode == stat.Ino &&
		major == uint64(unix.Major(device)) && minor == uint64(unix.Minor(device))
}
