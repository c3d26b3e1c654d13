package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// If the run itself is killed by SIGKILL, the kernel kills the child.
func TestRunKilled(t *testing.T) {
	newDatabase(t)
	p := start(t, "stubborn", "run a --events json --", testBinary)
	p.line("alive")
	p.signal(syscall.SIGKILL)
	p.end(-int(syscall.SIGKILL)) // the child's end of stdout is closed by then
}

// console is a terminal with a process that has it as its controlling terminal.
type console struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	read   chan struct{} // closed when all processes have closed the terminal, and its output was read

	mu      sync.Mutex
	output  bytes.Buffer
	changed chan struct{} // closed and renewed when output grows
}

// newConsole starts a shell with those arguments in a terminal of its own. RUN in a script stands
// for the command, and CHILD for a plain child.
func newConsole(t *testing.T, args ...string) *console {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := childEnv + "=plain " + commandPath(t)
	for i, arg := range args {
		args[i] = strings.NewReplacer("RUN", run, testBinary, path).Replace(arg)
	}
	c := &console{
		t: t, master: master, cmd: exec.Command("sh", args...), changed: make(chan struct{}), read: make(chan struct{}),
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = slave.Close()
	go c.readAll()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = master.Close()
	})
	return c
}

func (c *console) readAll() {
	defer close(c.read)
	buffer := make([]byte, 4096)
	for {
		n, err := c.master.Read(buffer)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.output.Write(buffer[:n])
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

func (c *console) text() (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String(), c.changed
}

// await waits until the terminal shows a text for the n-th time.
func (c *console) await(text string, n int) {
	c.t.Helper()
	timeout := time.After(stepTimeout)
	for {
		all, changed := c.text()
		if strings.Count(all, text) >= n {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("%q does not come for the time %d; the terminal shows:\n%s", text, n, all)
		}
	}
}

// press types keys.
func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the end of the shell.
func (c *console) end() string {
	c.t.Helper()
	ended := make(chan struct{})
	go func() {
		_ = c.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		<-c.read
	case <-time.After(stepTimeout):
		all, _ := c.text()
		c.t.Fatalf("the shell has not ended; the terminal shows:\n%s", all)
	}
	all, _ := c.text()
	return all
}

// The child has the terminal: it reads from it, Ctrl-Z stops the whole job, and fg continues it.
func TestTerminal(t *testing.T) {
	newDatabase(t)
	c := newConsole(t, "-m", "-c", "RUN run a -- cat; echo status=$?; fg; echo end=$?")
	c.press("one\r")
	c.await("one", 2) // what was typed, and what cat says
	c.press("\x1a")
	c.await("status=149", 1)
	c.press("two\r")
	c.await("two", 2)
	c.press("\x04")
	c.await("end=0", 1)
}

// A job that was stopped for longer than its TTL has lost its lock, and does not go on.
func TestTerminalStoppedForTooLong(t *testing.T) {
	newDatabase(t)
	c := newConsole(t, "-m", "-c", "RUN run a --ttl 500ms -- CHILD; "+
		"echo status=$?; sleep 0.6; echo resumed; fg; echo end=$?")
	c.await("alive", 1)
	c.press("\x1a")
	c.await("end=76", 1)
	all, _ := c.text()
	if _, after, _ := strings.Cut(all, "resumed"); strings.Contains(after, "alive") {
		t.Errorf("the child went on without the lock:\n%s", all)
	}
}

// Ctrl-C ends the child, and then those who share the process group of the run, as if the child had
// no group of its own.
func TestTerminalInterrupt(t *testing.T) {
	newDatabase(t)
	c := newConsole(t, "-c", "RUN run a -- sh -c 'echo ready; exec sleep 60'; echo not reached")
	c.await("ready", 1)
	c.press("\x03")
	if all := c.end(); strings.Contains(all, "not reached") {
		t.Errorf("the script went on after Ctrl-C:\n%s", all)
	}
	check(t, []want{{"run a --try -- true", 0, "", ""}})
}

// Colour is for terminals, and not if NO_COLOR is set.
func TestColour(t *testing.T) {
	newDatabase(t)
	for _, c := range []struct {
		script string
		colour bool
	}{{"RUN ls", true}, {"NO_COLOR=1 RUN ls", false}, {"RUN ls | cat", false}} {
		console := newConsole(t, "-c", c.script+"; echo done")
		console.await("done", 1)
		if all := console.end(); strings.Contains(all, "\x1b[") != c.colour || !strings.Contains(all, "NAME") {
			t.Errorf("%s shows %q; want colour: %t", c.script, all, c.colour)
		}
	}
}
