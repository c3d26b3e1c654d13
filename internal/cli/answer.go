package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
)

// ReadAnswer reads the answer to a question: a line, without the spaces around it. It returns "" if
// the input ends, and ctx.Err() if ctx does.
func ReadAnswer(ctx context.Context, stdin io.Reader) (string, error) {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case text := <-answer:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// WriteJSON writes a value as one indented JSON document.
func WriteJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
