//go:build !unix

package child

import (
	"os"
	"syscall"
)

// run starts the child and waits until it has ended. There are no process groups here.
func (c *Child) run(started chan<- error) {
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	defer close(c.done)
	_ = c.cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone, c.exit = true, Exit{Code: c.cmd.ProcessState.ExitCode()}
}

// Signal ends the child by any signal: no other can be sent here.
func (c *Child) Signal(syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	return c.cmd.Process.Kill()
}

// Kill ends the child.
func (c *Child) Kill() { _ = c.cmd.Process.Signal(os.Kill) }

// terminal is unused here.
type terminal struct{}

func openTerminal() *terminal { return nil }
