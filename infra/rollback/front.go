package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// front is the address at which one person opens the chat, through the whole run: browsers keep their data for an
// address. It serves the files of one version of the client, and passes everything else to the server.
type front struct {
	url    string
	server *http.Server

	dist atomic.Pointer[string]
	to   atomic.Pointer[url.URL]
}

func newFront() (*front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{Rewrite: f.rewrite, ModifyResponse: f.modify, FlushInterval: -1}
	f.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if name := f.file(r); name != "" {
				serveFile(w, r, name)
				return
			}
			proxy.ServeHTTP(w, r)
		})}
	go func() { _ = f.server.Serve(l) }() // ends with close
	return f, nil
}

func (f *front) close() { _ = f.server.Close() }

// use serves a client and a server from now on.
func (f *front) use(dist string, server *url.URL) {
	f.dist.Store(&dist)
	f.to.Store(server)
}

// file returns the file of the client that answers a request: the one with its name, or the page for an address of the
// app. It is "" for requests to the server.
func (f *front) file(r *http.Request) string {
	dist := *f.dist.Load()
	name := filepath.Join(dist, filepath.FromSlash(path.Clean("/"+r.URL.Path)))
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		return name
	}
	if r.Header.Get("Sec-Fetch-Dest") == "document" && r.URL.Path != "/config.json" {
		return filepath.Join(dist, "index.html")
	}
	return ""
}

func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, name, time.Time{}, f)
}

// rewrite makes a request look as if a page of the server had made it. The server refuses other origins.
func (f *front) rewrite(r *httputil.ProxyRequest) {
	to := f.to.Load()
	r.SetURL(to)
	r.Out.Host = to.Host
	for _, h := range []string{"Origin", "Referer"} {
		if v := r.Out.Header.Get(h); v != "" {
			r.Out.Header.Set(h, strings.Replace(v, f.url, to.String(), 1))
		}
	}
	r.Out.Header.Del("Accept-Encoding") // modify reads the answer
}

// modify replaces the address of the server in /config.json by that of the front.
func (f *front) modify(resp *http.Response) error {
	to := resp.Request.URL
	if allowed := resp.Header.Get("Access-Control-Allow-Origin"); allowed != "" && allowed != "*" {
		resp.Header.Set("Access-Control-Allow-Origin", f.url)
	}
	if to.Path != "/config.json" {
		return nil
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	b = bytes.ReplaceAll(b, []byte(to.Host), []byte(strings.TrimPrefix(f.url, "http://")))
	resp.Body = io.NopCloser(bytes.NewReader(b))
	resp.Header.Set("Content-Length", strconv.Itoa(len(b)))
	resp.ContentLength = int64(len(b))
	resp.Header.Del("ETag")
	return nil
}
