package web

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock/inspect"
)

var (
	//go:embed templates
	templateFiles embed.FS

	//go:embed assets
	assetFiles embed.FS
)

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset":    assetURL,
	"clean":    inspect.Printable,
	"dec":      func(n int) int { return n - 1 },
	"inc":      func(n int) int { return n + 1 },
	"lockURL":  lockURL,
	"short":    inspect.Short,
	"between":  func(from, to time.Time) string { return inspect.Short(to.Sub(from)) },
	"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"stamp":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"sections": func(at time.Time, waiters []inspect.Waiter) section { return section{at, waiters} },
}).ParseFS(templateFiles, "templates/*.html"))

// section is a part of a forest, with the moment that it shows.
type section struct {
	At      time.Time
	Waiters []inspect.Waiter
}

// assets are the files that the pages load, by their path.
var assets = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{}
	_ = fs.WalkDir(assetFiles, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := assetFiles.ReadFile(name)
		sum := fnv.New64a()
		_, _ = sum.Write(body)
		all["/"+path.Base(name)] = asset{body, types[path.Ext(name)], hex.EncodeToString(sum.Sum(nil))}
		return err
	})
	return all
})

// types are the media types of the assets. The system's own table may have others.
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is a file that the pages load.
type asset struct {
	body    []byte
	media   string
	version string
}

// assetURL returns the address of an asset. It changes with its content, so that a browser may keep
// it.
func assetURL(name string) string { return name + "?v=" + assets()["/"+name].version }

// serveAsset serves an asset, and reports whether there is one at that path.
func serveAsset(w http.ResponseWriter, r *http.Request, path string) bool {
	a, ok := assets()[path]
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", a.media)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
	return true
}

// render writes a page.
func (h *handler) render(w http.ResponseWriter, status int, name string, view any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, view); err != nil {
		h.Logger.Error("sqllock: a page can't be rendered", "page", name, "error", err)
		http.Error(w, "this page can't be shown; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fail writes a page that says that something went wrong; as JSON to a program.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.EscapedPath(), h.Prefix+"/api/") {
		writeJSON(w, status, document{Error: &problem{Kind: http.StatusText(status), Message: text}})
		return
	}
	v := &failure{Text: text}
	v.Title = http.StatusText(status)
	h.render(w, status, "failure.html", v)
}

// fragments are the parts of pages that change, rendered once for all viewers of the same page.
type fragments struct {
	mu   sync.Mutex
	made map[string]func() []byte
}

// maxFragments is how many pages are rendered once for all. Beyond that, each viewer's is rendered
// for that viewer.
const maxFragments = 100

// once returns what render returns, which it calls once for each key.
func (f *fragments) once(key string, render func() []byte) []byte {
	f.mu.Lock()
	made := f.made[key]
	if made == nil {
		made = sync.OnceValue(render)
		if f.made == nil {
			f.made = map[string]func() []byte{}
		}
		if len(f.made) < maxFragments {
			f.made[key] = made
		}
	}
	f.mu.Unlock()
	return made()
}

// parts renders the templates of these names, as JSON: the text by the id of its element.
func (h *handler) parts(names []string, view any) []byte {
	texts := map[string]string{}
	for _, name := range names {
		var b bytes.Buffer
		if err := templates.ExecuteTemplate(&b, name, view); err != nil {
			h.Logger.Error("sqllock: a part of a page can't be rendered", "part", name, "error", err)
			return nil
		}
		texts[name] = b.String()
	}
	out, err := json.Marshal(texts)
	if err != nil {
		h.Logger.Error("sqllock: a part of a page can't be written", "error", err)
		return nil
	}
	return out
}
