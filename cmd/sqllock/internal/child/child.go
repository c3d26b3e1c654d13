package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// Options are the options of [Start].
type Options struct {
	Args []string // the program, which is looked up in PATH, and its arguments
	Env  []string // the environment

	// Resume is called when the parent was stopped together with the child and is continued. It
	// reports whether the child may go on; if not, the child stays stopped.
	Resume func() bool
}

// Exit is how a child has ended.
type Exit struct {
	Code   int            // its exit code, if Signal is 0
	Signal syscall.Signal // the signal that killed it
}

// Status returns the exit code that a shell reports.
func (e Exit) Status() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// String describes how the child has ended.
func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// StartError says why a command could not be started.
type StartError struct {
	Program string
	Status  int // the exit code of a shell: 127 if there is no such program, otherwise 126
	Err     error
}

// Error says which program could not be started and why.
func (e *StartError) Error() string {
	if e.Status == 127 {
		return fmt.Sprintf("there is no program %q: %v", e.Program, e.Err)
	}
	return fmt.Sprintf("%q can't be run: %v", e.Program, e.Err)
}

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

func startError(program string, err error) error {
	status := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) || errors.Is(err, fs.ErrNotExist) {
		status = 127
	}
	if named := new(exec.Error); errors.As(err, &named) {
		err = named.Err
	}
	if named := new(fs.PathError); errors.As(err, &named) {
		err = named.Err
	}
	return &StartError{Program: program, Status: status, Err: err}
}

// Child is a running command, with all processes of its group. Its methods are safe for concurrent
// use.
type Child struct {
	cmd      *exec.Cmd
	resume   func() bool
	terminal *terminal
	done     chan struct{}

	mu   sync.Mutex
	gone bool
	exit Exit
}

// Start starts a command. Its standard input, output and error are this process's.
func Start(o Options) (*Child, error) {
	cmd := exec.Command(o.Args[0], o.Args[1:]...) //nolint:gosec,noctx // the user's own command, ended by signals
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, o.Env
	if cmd.Err != nil {
		return nil, startError(o.Args[0], cmd.Err)
	}
	c := &Child{cmd: cmd, resume: o.Resume, terminal: openTerminal(), done: make(chan struct{})}
	started := make(chan error)
	go c.run(started)
	if err := <-started; err != nil {
		return nil, startError(o.Args[0], err)
	}
	return c, nil
}

// PID returns the process id of the child, which is also that of its group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done returns a channel that is closed when the child has ended. Processes that it has started may
// still run.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit returns how the child has ended. Call it after [Child.Done].
func (c *Child) Exit() Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit
}

// Command returns the command as one would type it, for messages.
func Command(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$`|&;<>()*?[]#~") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
