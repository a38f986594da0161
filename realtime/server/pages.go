package server

import (
	"bytes"
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
	"time"
)

// pages is the built web client. It is kept in memory, because it is small and does not change while the process runs.
type pages struct {
	files  map[string]*file // by path, without the leading slash
	index  *file
	hosted *url.URL // nil: pages are served on every host
	hosts  []string // in lower case: where pages are served, if hosted is set
}

// maxFile limits the size of a file of the client, in bytes. A larger file is there by mistake.
const maxFile = 16 << 20

// readPages reads the client from root. If hosted is set, pages are served on its host and on those of origins, and a
// request for a page on any other host is redirected to hosted.
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
			return fmt.Errorf("%s is not a regular file of at most %d bytes", name, maxFile)
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
		return nil, fmt.Errorf("server: read the web client: %w", err)
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

// handle serves a file of the client, or index.html for one of the client's routes.
func (p *pages) handle(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notFound(w, r)
	}
	if p.hosted != nil && !slices.Contains(p.hosts, strings.ToLower(r.Host)) {
		// For example a bookmark of another host name of this service. The client's storage and sockets belong to one origin.
		to := *p.hosted
		to.Path, to.RawPath, to.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
		return nil
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if f := p.files[name]; f != nil && name != "index.html" {
		f.serve(w, r)
		return nil
	}
	if isRoute(r.URL.Path) || name == "index.html" {
		p.index.serve(w, r)
		return nil
	}
	// The client itself reports an address that does not exist. A missing script or image must not be answered with HTML.
	if strings.Contains(r.Header.Get("Accept"), "text/html") && path.Ext(name) == "" {
		p.index.serveNotFound(w, r)
		return nil
	}
	return notFound(w, r)
}

// isRoute reports whether path is one of the client's routes (web/src/view/places.ts).
func isRoute(path string) bool {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	switch len(parts) {
	case 0:
		return true
	case 1:
		return slices.Contains([]string{"people", "settings", "admin", "signin", "signup", "reset", "mail"}, parts[0])
	case 2:
		return parts[0] == "c" || parts[0] == "admin"
	}
	return false
}

// file is one file of the client, ready to be served.
type file struct {
	data, gz, br []byte // gz and br are nil if the file is not compressed
	mime, cache  string // values of Content-Type and Cache-Control
	tag          string // ETag of data
}

func newFile(name string, data []byte) *file {
	f := &file{data: data, tag: etag(data), mime: mimeOf(name), cache: "no-cache"}
	// Vite adds a hash of the content to the names of files in assets/.
	if strings.HasPrefix(name, "assets/") {
		f.cache = "public, max-age=31536000, immutable"
	}
	if strings.HasPrefix(f.mime, "text/") || strings.Contains(f.mime, "json") || strings.Contains(f.mime, "svg") {
		f.gz = compress(data)
	}
	return f
}

// mimeOf returns the media type of the file. It does not use the table of the operating system for known extensions,
// because that differs between machines.
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

// serve responds with the file in the smallest encoding that the browser accepts. http.ServeContent handles conditional
// requests, ranges and HEAD.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	data := f.setHeaders(w.Header(), r)
	http.ServeContent(&lengthWriter{w, len(data)}, r, "", time.Time{}, bytes.NewReader(data))
}

// serveNotFound responds with the file and the status 404.
func (f *file) serveNotFound(w http.ResponseWriter, r *http.Request) {
	data := f.setHeaders(w.Header(), r)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // fails only if the browser is gone
	}
}

// setHeaders selects an encoding, sets its headers and returns its data. Each encoding has an ETag of its own, because
// the bytes differ (RFC 9110, section 8.8.3.3).
func (f *file) setHeaders(h http.Header, r *http.Request) []byte {
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
	return data
}

// lengthWriter sets the Content-Length of a response with status 200. http.ServeContent leaves it out if there is a
// Content-Encoding, because a ResponseWriter might compress what it is given.
type lengthWriter struct {
	http.ResponseWriter
	length int
}

func (w *lengthWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Content-Length", strconv.Itoa(w.length))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *lengthWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// accepts reports whether an Accept-Encoding header allows the coding.
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

// originOf returns scheme://host of an absolute URL, or "" for any other string.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
