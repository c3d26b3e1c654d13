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

// workerProcess is a worker as the benchmark sees it.
type workerProcess struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out *json.Decoder
	end io.Closer
}

// startCrew starts so many workers. They end with the test.
func startCrew(t *testing.T, n int) []*workerProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	workers := make([]*workerProcess, n)
	for i := range workers {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), workerEnv+"=1", "GOMAXPROCS=1") // a hundred share the machine's processors
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

// tell gives all workers the same order at the same time, and waits for all their answers.
func tell(workers []*workerProcess, o order) ([]answer, error) {
	answers, errs := make([]answer, len(workers)), make([]error, len(workers))
	var group sync.WaitGroup
	for i, w := range workers {
		group.Go(func() {
			// That it never answers is told by the death of its pipe: a worker bounds its own work.
			stuck := time.AfterFunc(2*time.Minute, func() { _ = w.cmd.Process.Kill() })
			defer stuck.Stop()
			err := w.in.Encode(o)
			if err == nil {
				err = w.out.Decode(&answers[i])
			}
			if err == nil && answers[i].Err != "" {
				err = errors.New(answers[i].Err)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: worker %d: %w", o.Do, i, err)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return answers, err // one says it: the others' are mostly the same
		}
	}
	return answers, nil
}

func TestLatencies(t *testing.T) {
	got := latencies([]turn{
		{Worker: 2, Got: 50, Released: 55}, {Worker: 1, Got: 10, Released: 20}, {Worker: 1, Got: 25, Released: 30}, {Worker: 3, Got: 61, Released: 62},
	})
	// 1 took it twice, which was no hand-over; then 1 → 2 took 20, and 2 → 3 took 6.
	if len(got) != 2 || got[0] != 20 || got[1] != 6 {
		t.Errorf("latencies = %v, want [20 6]", got)
	}
	if got := latencies(nil); got != nil {
		t.Errorf("of no turns: %v", got)
	}
}

func TestBoard(t *testing.T) {
	path := t.TempDir() + "/board"
	if err := makeBoard(path); err != nil {
		t.Fatal(err)
	}
	a, err := openBoard(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openBoard(path) // as another process does
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.take(); !errors.Is(err, errTwoHolders) {
		t.Errorf("a second holder: %v", err)
	}
	a.leave()
	go func() { _, _ = b.take() }()
	a.awaitNext(t.Context(), first)
	if n := b.turns.Load(); n != 2 {
		t.Errorf("%d turns, want 2", n)
	}
	if err := errors.Join(a.close(), b.close()); err != nil {
		t.Error(err)
	}
}
