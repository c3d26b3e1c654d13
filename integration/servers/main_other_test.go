//go:build !linux

package servers

import "testing"

func TestMain(m *testing.M) { Main(m) }
