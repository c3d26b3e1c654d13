package servers

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// named is a test of that name, which ends when the function end is called.
type named struct {
	testing.TB
	name string
	end  func()
}

func (n *named) Name() string     { return n.name }
func (n *named) Cleanup(f func()) { n.end = f }

func TestHangIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []string
		w := &testWatch{since: make(map[string]time.Time), hung: func(text string) {
			reports = append(reports, text)
		}}
		parent, hangs, goesOn := &named{name: "TestA"}, &named{name: "TestA/mysql"}, &named{name: "TestB"}
		w.see(parent)
		w.see(hangs)
		w.see(goesOn)
		for range 5 { // one test after the other, each within the limit
			time.Sleep(hangAfter - time.Second)
			w.see(goesOn) // asks for a second server, which changes nothing
			goesOn.end()
			w.see(goesOn)
		}
		if synctest.Wait(); len(reports) > 0 {
			t.Errorf("reports while other tests begin and end: %q", reports)
		}
		goesOn.end()
		time.Sleep(hangAfter + time.Second)
		synctest.Wait()
		if len(reports) != 1 || !strings.Contains(reports[0], "TestA/mysql (for ") ||
			strings.Contains(reports[0], "TestA (") || strings.Contains(reports[0], "TestB") {
			t.Errorf("reports of a test that hangs: %q", reports)
		}
		hangs.end()
		parent.end()
		time.Sleep(2 * hangAfter)
		synctest.Wait()
		if len(reports) != 1 {
			t.Errorf("reports after all tests have ended: %q", reports[1:])
		}
	})
}
