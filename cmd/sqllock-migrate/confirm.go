package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm asks, and takes only y for a yes. The end of ctx is a no, and so is that of stdin.
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
