package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cacheDirs returns the directories to which make deps may have unpacked servers. The first is the
// one that this user writes to.
func cacheDirs() []string {
	if dir := os.Getenv("SQLLOCK_CACHE"); dir != "" {
		return []string{dir}
	}
	const system = "/var/cache/sqllock"
	own, err := os.UserCacheDir()
	if err != nil || os.Getuid() == 0 {
		return []string{system}
	}
	return []string{filepath.Join(own, "sqllock"), system}
}

// pathDirs returns the directories of PATH and those where Debian installs servers, which are not
// in every user's PATH.
func pathDirs() []string {
	return append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin")
}

func inPath(name string) (string, error) {
	for _, dir := range pathDirs() {
		path := filepath.Join(dir, name)
		if _, err := exec.LookPath(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no %s in PATH", errAbsent, name)
}

func output(name string, args ...string) (string, error) {
	if _, err := os.Stat(name); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(context.Background(), name, args...).Output()
	return strings.TrimSpace(string(out)), err
}

// writeForServer writes a file that the server can read.
func writeForServer(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// readFrom returns the file's contents from that offset on. It returns nothing for a file that
// doesn't exist.
func readFrom(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// tail returns the file's last n lines.
func tail(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
