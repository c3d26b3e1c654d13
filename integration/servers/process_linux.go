package servers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a running server with all its child processes. Its methods block until they have taken
// effect.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the server's first process has ended

	mu       sync.Mutex
	watchdog *watchdog // set while the server is stopped
}

// startProcess runs the command and appends its output to the log.
func startProcess(log string, command []string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout, cmd.Stderr = f, f
	p := &process{cmd: cmd, done: make(chan struct{})}
	if err := spawn(cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill ends the whole server at once, as a crash would. It does nothing if the server has ended.
func (p *process) kill() {
	tree := p.freeze()
	defer tree.close()
	tree.signal(unix.SIGKILL)
	tree.awaitEnd()
	<-p.done
	p.endWatchdog()
}

// stop freezes the whole server: connections stay open and nothing responds.
func (p *process) stop() error {
	tree := p.freeze()
	defer tree.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchdog != nil {
		return nil
	}
	var err error
	p.watchdog, err = watch(tree.pids)
	return err
}

// cont resumes a stopped server.
func (p *process) cont() {
	tree := p.freeze() // finds all processes; stopped ones stay stopped
	defer tree.close()
	p.endWatchdog()
	tree.signal(unix.SIGCONT)
}

func (p *process) endWatchdog() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchdog != nil {
		p.watchdog.end()
		p.watchdog = nil
	}
}

// freeze stops the first process, so that it starts no further ones, and then the processes that it
// has started. A process group wouldn't do: PostgreSQL's processes have sessions of their own.
func (p *process) freeze() *tree {
	t := &tree{}
	select {
	case <-p.done:
		return t
	default:
	}
	t.add(p.cmd.Process.Pid)
	t.signal(unix.SIGSTOP)
	awaitStopped(p.cmd.Process.Pid)
	for _, child := range children(p.cmd.Process.Pid) {
		t.add(child)
	}
	t.signal(unix.SIGSTOP)
	return t
}

// tree is a set of processes. It holds descriptors, because a process id may belong to another
// process by the time the signal is sent.
type tree struct {
	pids []int
	fds  []int
}

func (t *tree) add(pid int) {
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		t.pids, t.fds = append(t.pids, pid), append(t.fds, fd)
	}
}

func (t *tree) signal(s unix.Signal) {
	for _, fd := range t.fds {
		_ = unix.PidfdSendSignal(fd, s, nil, 0) // it fails for a process that has ended
	}
}

// awaitEnd blocks until all processes of the tree have ended. A server that starts while one of its
// predecessor's processes still runs finds the data directory in use.
func (t *tree) awaitEnd() {
	for _, fd := range t.fds {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(poll, -1); err != unix.EINTR {
				break
			}
		}
	}
}

func (t *tree) close() {
	for _, fd := range t.fds {
		_ = unix.Close(fd)
	}
}

// children returns the processes whose parent is that process.
func children(parent int) []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		if _, ppid, ok := stat(path); ok && ppid == parent {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			found = append(found, pid)
		}
	}
	return found
}

// stat reads a process's state and parent. They follow the process's name in parentheses, which may
// contain anything.
func stat(path string) (state string, ppid int, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	ppid, err = strconv.Atoi(fields[1])
	return fields[0], ppid, err == nil
}

// awaitStopped blocks until a SIGSTOP that was sent to the process has taken effect.
func awaitStopped(pid int) {
	for {
		state, _, ok := stat(fmt.Sprintf("/proc/%d/stat", pid))
		if !ok || slices.Contains([]string{"T", "t", "Z", "X"}, state) {
			return
		}
		runtime.Gosched()
	}
}

// serverUser returns the user that servers run as when the tests run as root, since PostgreSQL
// refuses to run as root. It returns nil if servers run as the tests' own user.
var serverUser = sync.OnceValues(func() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("servers don't run as root, and there is no user to run them as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
})

func chownToServer(path string) error {
	c, err := serverUser()
	if err != nil || c == nil {
		return err
	}
	return os.Chown(path, int(c.Uid), int(c.Gid))
}

// runAsServer runs a command as the servers' user, blocks until it ends, and returns its output.
func runAsServer(command ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &out
	err := spawn(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(command[0]), err, &out)
	}
	return out.String(), nil
}

// spawn starts the command so that it dies with this process, even if this process is killed. The
// kernel sends that signal when the *thread* that forked ends, so one thread, which never ends,
// forks all commands.
func spawn(cmd *exec.Cmd) error {
	c, err := serverUser()
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: c}
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }
	return <-result
}

var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})
