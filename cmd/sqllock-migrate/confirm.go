package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sqllock/sqllock/internal/cli"
)

// confirm asks a question and returns nil only for the answer y. If ctx ends, or stdin does, the
// answer is no.
func (a *app) confirm(ctx context.Context, question, yes, no string) error {
	a.say("%s [y/N]", question)
	answer, err := cli.ReadAnswer(ctx, a.stdin)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", no, err)
	case strings.EqualFold(answer, "y"):
		a.say("%s", yes)
		return nil
	}
	return &declinedError{no}
}
