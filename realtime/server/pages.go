package server

import (
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pages is the built web client, held in memory: it is small, and its files
// never change while the process lives.
type pages struct {
	files  map[string]*file // by path without the leading slash
	index  *file
	hosted *url.URL // nil: pages are served at every host
	hosts  []string // where they are served beside the hosted one
}

// maxFile bounds a file of the client; one that is larger is no part of a page.
const maxFile = 16 << 20

// readPages reads the client from root. With a hosted URL, pages are served
// there and at the origins, and asked for elsewhere lead there.
func readPages(root fs.FS, hosted string, origins []string) (*pages, error) {
	p := &pages{files: map[string]*file{}}
	if hosted != "" {
		u, err := url.Parse(hosted)
		if err != nil {
			return nil, err
		}
		p.hosted = u
		p.hosts = append(p.hosts, strings.ToLower(u.Host))
		for _, o := range origins {
			if u, err := url.Parse(o); err == nil {
				p.hosts = append(p.hosts, strings.ToLower(u.Host))
			}
		}
	}
	packed := map[string][]byte{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > maxFile {
			return fmt.Errorf("%s is no regular file of at most %d bytes", name, maxFile)
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if ext := path.Ext(name); ext == ".br" || ext == ".gz" {
			packed[name] = data
			return nil
		}
		p.files[name] = newFile(name, data)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("server: the web client: %w", err)
	}
	for name, f := range p.files {
		if data := packed[name+".br"]; data != nil {
			f.br = data
		}
		if data := packed[name+".gz"]; data != nil {
			f.gz = data
		}
	}
	if p.index = p.files["index.html"]; p.index == nil {
		return nil, errors.New("server: the web client has no index.html; build it first")
	}
	return p, nil
}

// handle serves a file of the client, or its page for one of its places.
func (p *pages) handle(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nothing(w, r)
	}
	if p.hosted != nil && !slices.Contains(p.hosts, strings.ToLower(r.Host)) {
		// A bookmark of another name of this service; sockets and storage belong to one origin.
		to := *p.hosted
		to.Path, to.RawPath, to.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
		return nil
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if f := p.files[name]; f != nil && name != "index.html" {
		f.serve(w, r, http.StatusOK)
		return nil
	}
	if place(r.URL.Path) || name == "index.html" {
		p.index.serve(w, r, http.StatusOK)
		return nil
	}
	// A person who mistyped gets the page, which says so; a missing script or
	// picture must not look like one.
	if strings.Contains(r.Header.Get("Accept"), "text/html") && path.Ext(name) == "" {
		p.index.serve(w, r, http.StatusNotFound)
		return nil
	}
	return nothing(w, r)
}

// place reports whether path is one of the client's own addresses
// (web/src/view/places.ts).
func place(path string) bool {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	switch len(parts) {
	case 0:
		return true
	case 1:
		return slices.Contains([]string{"people", "settings", "admin", "signin", "signup", "reset"}, parts[0])
	case 2:
		return parts[0] == "c" || parts[0] == "admin"
	}
	return false
}

// file is one file, ready to be served.
type file struct {
	data, gz, br []byte
	mime, cache  string
	tag          string
}

func newFile(name string, data []byte) *file {
	f := &file{data: data, tag: etag(data), mime: mimeOf(name), cache: "no-cache"}
	// Vite puts a hash of the content into the names below assets/.
	if strings.HasPrefix(name, "assets/") {
		f.cache = "public, max-age=31536000, immutable"
	}
	if strings.HasPrefix(f.mime, "text/") || strings.Contains(f.mime, "json") || strings.Contains(f.mime, "svg") {
		f.gz = squeeze(data)
	}
	return f
}

// mimeOf does not ask the machine's own table, which differs.
func mimeOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

// serve answers with the file in the smallest form that the browser takes.
func (f *file) serve(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	h.Set("Content-Type", f.mime)
	h.Set("Cache-Control", f.cache)
	data, tag := f.data, f.tag
	if f.gz != nil || f.br != nil {
		h.Set("Vary", "Accept-Encoding")
		switch accept := r.Header.Get("Accept-Encoding"); {
		case f.br != nil && accepts(accept, "br"):
			data, tag = f.br, strings.TrimSuffix(f.tag, `"`)+`-br"`
			h.Set("Content-Encoding", "br")
		case f.gz != nil && accepts(accept, "gzip"):
			data, tag = f.gz, strings.TrimSuffix(f.tag, `"`)+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	if status == http.StatusOK && matches(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the browser may be gone
	}
}

// accepts reports whether an Accept-Encoding header takes the coding.
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
		}
	}
	return false
}

// matches reports whether an If-None-Match header names tag.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if t := strings.TrimPrefix(strings.TrimSpace(part), "W/"); t == tag || t == "*" {
			return true
		}
	}
	return false
}

// originOf returns scheme://host of an absolute URL, else "".
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
