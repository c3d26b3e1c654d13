package servers

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// The files of all servers of this process are in one directory, which Main removes. If this
// process is killed, the next one removes the directory. It may do so when no process holds the
// lock on the file "owner".
const workPrefix = "sqllock-test-"

var work struct {
	sync.Mutex
	dir   string
	owner *os.File
}

// newDir creates an empty directory that the servers' user owns.
func newDir(name string) (string, error) {
	root, err := workDir()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(root, name+"-")
	if err != nil {
		return "", err
	}
	return dir, chownToServer(dir)
}

func workDir() (string, error) {
	work.Lock()
	defer work.Unlock()
	if work.dir != "" {
		return work.dir, nil
	}
	removeStale()
	// The directory gets the name that removeStale searches for only once it is locked.
	dir, err := os.MkdirTemp("", "sqllock-new-")
	if err != nil {
		return "", err
	}
	owner, err := os.Create(filepath.Join(dir, "owner"))
	if err != nil {
		return "", err
	}
	if err := syscall.Flock(int(owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the servers' user must be able to enter it
		return "", err
	}
	final := filepath.Join(os.TempDir(), workPrefix+filepath.Base(dir)[len("sqllock-new-"):])
	if err := os.Rename(dir, final); err != nil {
		return "", err
	}
	work.dir, work.owner = final, owner
	return final, nil
}

// removeStale removes what killed processes have left behind. It leaves what it can't remove, which
// may belong to another user.
func removeStale() {
	owners, _ := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*", "owner"))
	for _, path := range owners {
		owner, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = owner.Close()
	}
}

func removeWorkDir() {
	work.Lock()
	defer work.Unlock()
	if work.dir != "" {
		_ = os.RemoveAll(work.dir)
		_ = work.owner.Close()
		work.dir = ""
	}
}
