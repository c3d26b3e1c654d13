package servers

import (
	"context"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// watchdog kills stopped processes if this process dies. A stopped server's first process dies with
// this one, but its other processes would notice only after a SIGCONT.
type watchdog struct {
	cmd   *exec.Cmd
	alive io.WriteCloser
}

func watch(pids []int) (*watchdog, error) {
	args := []string{"-c", `read -r word || kill -KILL "$@"`, "sh"}
	for _, pid := range pids {
		args = append(args, strconv.Itoa(pid))
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it must survive this process, and a Ctrl-C
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &watchdog{cmd: cmd, alive: alive}, cmd.Start()
}

// end stops the watchdog without a kill.
func (w *watchdog) end() {
	_, _ = io.WriteString(w.alive, "end\n")
	_ = w.cmd.Wait()
}
