package main

import (
	"io"
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	root := (&app{stderr: io.Discard}).root()
	for line, want := range map[string]string{
		"-path d -database=u up 2":       "--path d --database=u up 2",
		"up --path -d":                   "up --path -d",     // the value of a flag
		"-database -1 up":                "--database -1 up", // likewise
		"create -ext sql -seq -dir -x a": "create --ext sql --seq --dir -x a",
		"drop --f":                       "drop -f",
		"drop -f=true":                   "drop -f=true",
		"force -1 -verbose":              "force --verbose -- -1",
		"force -- -1":                    "force -- -1",
		"force -verbose -- -path":        "force --verbose -- -path",
		"-unknown -":                     "--unknown -",
	} {
		if got := strings.Join(normalise(root, strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestLockTimeout(t *testing.T) {
	for text, want := range map[string]string{"15": "15s", "0": "0s", "2m": "2m0s", "1.5s": "1.5s"} {
		var timeout lockTimeout
		if err := timeout.Set(text); err != nil || timeout.String() != want {
			t.Errorf("%s: %v, %v", text, &timeout, err)
		}
	}
	for _, text := range []string{"", "-1", "-1s", "soon", "99999999999999999999"} {
		var timeout lockTimeout
		if err := timeout.Set(text); err == nil {
			t.Errorf("%q is %v", text, &timeout)
		}
	}
}
