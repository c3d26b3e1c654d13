package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm asks a question and returns nil only for the answer y. If ctx ends, or stdin does, the
// answer is no.
func (a *app) confirm(ctx context.Context, question, yes, no string) error {
	a.say("%s [y/N]", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		if text == "y" {
			a.say("%s", yes)
			return nil
		}
		return &declinedError{no}
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", no, ctx.Err())
	}
}
