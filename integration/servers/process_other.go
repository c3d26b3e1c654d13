//go:build !linux

package servers

// Processes that die with their parent and are stopped as a whole need Linux. launch returns an
// error on other systems before it calls any of this.

type process struct{ done chan struct{} }

func startProcess(string, []string) (*process, error) { return nil, errAbsent }

func (*process) kill()       {}
func (*process) stop() error { return errAbsent }
func (*process) cont()       {}

func reserve(int) (bool, error)             { return false, errAbsent }
func newDir(string) (string, error)         { return "", errAbsent }
func removeWorkDir()                        {}
func chownToServer(string) error            { return errAbsent }
func runAsServer(...string) (string, error) { return "", errAbsent }
