//go:build !linux

package servers

// What dies with its parent and is stopped as a whole needs Linux. launch says so before any of this is called.

type process struct{ done chan struct{} }

func startProcess(string, []string) (*process, error) { return nil, errAbsent }

func (*process) kill()       {}
func (*process) stop() error { return errAbsent }
func (*process) cont()       {}

func newDir(string) (string, error)         { return "", errAbsent }
func removeWorkDir()                        {}
func giveToServer(string) error             { return errAbsent }
func runAsServer(...string) (string, error) { return "", errAbsent }
