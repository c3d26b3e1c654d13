//go:build unix

package integration

import (
	"context"
	"fmt"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// TestPage uses the page of serve as people do, in a real browser: it is live, the queue is seen, a
// lock is broken by the keyboard alone, a hostile name runs no script, and everything works without
// JavaScript.
func TestPage(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, servers.Chromium(t))
	url := database(t, servers.Start(t, "sqlite"))
	page, log := serve(t, url, "--allow-break", "--refresh", "200ms")
	p := &pageTest{t: t, browser: b, url: url, page: page}
	first := p.fill()

	b.open(page)
	b.until("the page is live", shows("state", "live"))
	b.run(chromedp.Evaluate[chromedp.Void](`window.before = true`))
	p.hold("nightly-export", "exporter@app-2[88]", "")
	b.until("a lock appears", shows("rows", "nightly-export"))
	if !b.is(`window.before === true`) {
		t.Error("the page was loaded again, and is to be updated without that")
	}
	b.until("the waiters are counted", p.row("migrate")+`.querySelector(".waiters")?.textContent == "2"`)
	p.screenshots()

	b.open(page + "lock?name=migrate")
	b.until("the forest is shown", `[...document.querySelectorAll("#queue .who")].map(e => e.textContent).join() ==
		"deploy@ci-8[41],batch@app-4[17],deploy@ci-9[52]"`)
	b.tabTo(fmt.Sprint("break-", first.Fence()))
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until("the form is shown", `!!document.getElementById("typed")`)
	b.tabTo("alive")
	b.run(chromedp.KeyEvent(" "))
	b.tabTo("typed")
	b.run(chromedp.KeyEvent("migrate"))
	b.tabTo("reason")
	b.run(chromedp.KeyEvent("its host is gone"), chromedp.KeyEvent(kb.Enter))
	b.until("the break is reported", `!!document.querySelector(".banner.good")`)
	b.until("the first waiter holds the lock", shows("status", "deploy@ci-8[41]"))
	b.until("the old holder is seen", shows("past", "deploy@ci-7[33]"))
	for _, part := range []string{"reason=its host is gone", "lock=migrate"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the break is logged without %s: %s", part, log)
		}
	}

	const hostile = `<script>hacked=1</script><img src=x onerror=hacked=2>`
	p.hold(hostile, `"><script>hacked=3</script>`, `<svg onload=hacked=4>`)
	b.open(page)
	b.until("the hostile lock is shown", shows("rows", "<svg onload=hacked=4>"))
	b.open(page + "lock?name=" + neturl.QueryEscape(hostile))
	b.until("its page is live", shows("state", "live")+" && "+shows("holders", "hacked=3"))
	if !b.is(`typeof hacked == "undefined"`) {
		t.Error("a name, a holder or a note ran as a script")
	}
	p.withoutScript()
}

// pageTest is what the test of the page needs.
type pageTest struct {
	t         *testing.T
	browser   *browser
	url, page string
}

// hold takes a lock as a process with that holder.
func (p *pageTest) hold(name, holder, note string, opts ...sqllock.Option) *sqllock.Lock {
	p.t.Helper()
	if note != "" {
		opts = append(opts, sqllock.WithNote(note))
	}
	lock, err := p.process(holder).TryAcquire(p.t.Context(), name, opts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return lock
}

func (p *pageTest) process(holder string) *sqllock.Client {
	p.t.Helper()
	return client(p.t, connect(p.t, p.url), sqllock.Options{Holder: holder})
}

// wait waits for a lock until the test ends, and returns when it is in the queue.
func (p *pageTest) wait(c *sqllock.Client, name string) {
	p.t.Helper()
	before := p.queue(c, name)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.Acquire(ctx, name, sqllock.Fair())
	}()
	p.t.Cleanup(func() {
		cancel()
		<-ended
	})
	await(p.t, "a waiter for "+name, stepTimeout, func() bool { return p.queue(c, name) > before })
}

func (p *pageTest) queue(c *sqllock.Client, name string) int {
	p.t.Helper()
	queue, err := c.Queue(p.t.Context(), name)
	if err != nil {
		p.t.Error(err)
	}
	return len(queue)
}

// fill makes locks as an application has them. It returns that of the holder of migrate.
func (p *pageTest) fill() *sqllock.Lock {
	p.t.Helper()
	p.hold("invoice/2026-11", "billing@app-1[204]", "customer 4711")
	p.hold("report/nightly", "reports@app-3[812]", "run of 30 November")
	p.hold("search/reindex", "indexer@app-2[66]", "")
	migrate := p.hold("migrate", "deploy@ci-7[33]", "release 4.12.0")
	partner := p.process("sync@app-1[21]").Semaphore("partner/acme", 3)
	catalog := p.process("web@app-1[5]").RWLock("catalog")
	for _, take := range []func() error{
		func() error { _, err := partner.TryAcquire(p.t.Context(), sqllock.WithNote("orders")); return err },
		func() error { _, err := catalog.TryAcquireShared(p.t.Context()); return err },
	} {
		if err := take(); err != nil {
			p.t.Fatal(err)
		}
	}
	next, batch := p.process("deploy@ci-8[41]"), p.process("batch@app-4[17]")
	if _, err := batch.TryAcquire(p.t.Context(), "ledger/close", sqllock.WithNote("month end")); err != nil {
		p.t.Fatal(err)
	}
	p.wait(next, "migrate")
	p.wait(batch, "migrate")
	p.wait(p.process("deploy@ci-9[52]"), "ledger/close")
	p.wait(p.process("reports@app-4[90]"), "report/nightly")
	p.hold("thumbnails/93", "images@app-6[340]", "batch 12")
	execute(p.t, connect(p.t, p.url),
		"UPDATE sqllock_locks SET acquired_at = acquired_at - length(name) * 173000000 % 1999000000",
		"UPDATE sqllock_leases SET expires_at = expires_at - 60000000 WHERE holder LIKE 'images@%'")
	return migrate
}

// row returns an expression for the row of a name.
func (p *pageTest) row(name string) string {
	return fmt.Sprintf("[...document.querySelectorAll('#rows tr')].find(r => r.cells[0].innerText.trim() == %q)", name)
}

// shows returns an expression: whether an element of the page has a text.
func shows(id, text string) string {
	return fmt.Sprintf("document.getElementById(%q).textContent.includes(%q)", id, text)
}

// screenshots writes what the page looks like, light and dark: to the folder that
// SQLLOCK_SCREENSHOTS names, or to that of the test's artifacts.
func (p *pageTest) screenshots() {
	p.t.Helper()
	dir := os.Getenv("SQLLOCK_SCREENSHOTS")
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	for _, scheme := range []string{"light", "dark"} {
		p.browser.run(p.browser.colours(scheme), chromedp.EmulateViewport(1280, 572))
		png, err := chromedp.Run(p.browser.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "page-"+scheme+".png"), png, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

// withoutScript uses the page without JavaScript: it shows what is new after a while, by itself,
// and the search works.
func (p *pageTest) withoutScript() {
	p.t.Helper()
	b := p.browser
	b.run(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	b.open(p.page)
	p.hold("seen/without-script", "app-5", "")
	b.until("a lock appears without JavaScript", shows("rows", "seen/without-script"))
	if !b.is(shows("state", "as of")) {
		p.t.Error("a script ran that was to be turned off")
	}
	b.tabTo("q")
	b.run(chromedp.KeyEvent("seen/*"), chromedp.KeyEvent(kb.Enter))
	b.until("the search has found it", `document.querySelectorAll("#rows tr").length == 1`)
}

// serve runs sqllock serve, and returns the address of the page and what serve logs.
func serve(t *testing.T, database string, flags ...string) (page string, log *tailBuffer) {
	t.Helper()
	c := buildSqllock(t)
	cmd := c.command(database, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
	log = &tailBuffer{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v: %s", err, log)
		}
	})
	if _, err := fmt.Fscanln(out, &page); err != nil {
		t.Fatalf("serve printed no address: %v: %s", err, log)
	}
	return page, log
}

// browser is a tab of a headless browser.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func newBrowser(t *testing.T, path string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, // for root, as in CI
		chromedp.Flag("disable-gpu", true), chromedp.WindowSize(1280, 560))
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(all)
	t.Cleanup(end)
	b := &browser{t, ctx}
	b.run(b.colours("light"))
	return b
}

// run does what a person does.
func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.run(chromedp.Navigate(url))
}

// colours makes the browser prefer a colour scheme, and no animations.
func (b *browser) colours(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return chromedp.Void{}, err
	}
}

// is returns the value of an expression. It is false while the page is being loaded.
func (b *browser) is(expression string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
	return err == nil && value
}

// until waits until an expression is true.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	begun := time.Now()
	for !b.is(expression) {
		if time.Since(begun) > stepTimeout {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
			b.t.Fatalf("in vain for %s: %s; the page is\n%s", stepTimeout, what, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tabTo presses the Tab key until the element has the focus.
func (b *browser) tabTo(id string) {
	b.t.Helper()
	const most = 60
	for range most {
		b.run(chromedp.KeyEvent(kb.Tab))
		if b.is(fmt.Sprintf("document.activeElement.id == %q", id)) {
			return
		}
	}
	b.t.Fatalf("the Tab key doesn't reach %s", id)
}
