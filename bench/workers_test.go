package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// workerProcess is the benchmark's side of a worker.
type workerProcess struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *json.Decoder
	end io.Closer
}

// startWorkers starts n workers. They end with the test.
func startWorkers(t *testing.T, n int) []*workerProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	workers := make([]*workerProcess, n)
	for i := range workers {
		cmd := exec.Command(self)
		// A hundred workers share the machine's processors.
		cmd.Env = append(os.Environ(), workerEnv+"=1", "GOMAXPROCS=1")
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		workers[i] = &workerProcess{cmd, json.NewEncoder(stdin), json.NewDecoder(stdout), stdin}
		t.Cleanup(func() {
			stdin.Close()
			_ = cmd.Wait()
		})
	}
	return workers
}

// send sends all workers the same command at the same time, and waits for all their replies.
func send(workers []*workerProcess, c command) ([]reply, error) {
	replies, errs := make([]reply, len(workers)), make([]error, len(workers))
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			// A worker that never replies is killed, which closes its pipe. Workers bound their own
			// work.
			stuck := time.AfterFunc(2*time.Minute, func() { _ = w.cmd.Process.Kill() })
			defer stuck.Stop()
			err := w.in.Encode(c)
			if err == nil {
				err = w.out.Decode(&replies[i])
			}
			if err == nil && replies[i].Err != "" {
				err = errors.New(replies[i].Err)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: worker %d: %w", c.Do, i, err)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return replies, err // the other errors are usually the same
		}
	}
	return replies, nil
}

func TestLatencies(t *testing.T) {
	got := latencies([]hold{
		{Worker: 2, Got: 50, Released: 55},
		{Worker: 1, Got: 10, Released: 20},
		{Worker: 1, Got: 25, Released: 30},
		{Worker: 3, Got: 61, Released: 62},
	})
	// Worker 1 took it twice, which is not a hand-over. Then 1 → 2 took 20, and 2 → 3 took 6.
	if len(got) != 2 || got[0] != 20 || got[1] != 6 {
		t.Errorf("latencies = %v, want [20 6]", got)
	}
	if got := latencies(nil); got != nil {
		t.Errorf("latencies of no holds = %v, want none", got)
	}
}

func TestShared(t *testing.T) {
	path := t.TempDir() + "/shared"
	if err := makeShared(path); err != nil {
		t.Fatal(err)
	}
	a, err := openShared(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openShared(path) // like another process
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.take(); !errors.Is(err, errTwoHolders) {
		t.Errorf("take by a second holder: %v", err)
	}
	a.leave()
	go func() { _, _ = b.take() }()
	a.awaitNext(t.Context(), first)
	if n := b.holds.Load(); n != 2 {
		t.Errorf("%d holds, want 2", n)
	}
	if err := errors.Join(a.close(), b.close()); err != nil {
		t.Error(err)
	}
}
