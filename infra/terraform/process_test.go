package terraform

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a started program and its output.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended
	err   error         // result of Wait; set before ended is closed

	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(tail(p.out.Bytes()))
}

// start starts cmd and ends it at the end of the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop() })
	return p
}

// stop asks the program to end, kills it after 10 s, and returns its output.
func (p *process) stop() string {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return p.output()
}

// request repeats a GET request, or with a body a POST request, until the program answers. The test fails if the
// program ends, or if it does not listen within 20 s.
func (p *process) request(t *testing.T, url, host, body string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		if res, err := client.Do(req); err == nil {
			answer, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(answer)
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s ended: %v\n%s", p.cmd.Path, p.err, p.output())
		case <-late:
			t.Fatalf("%s does not answer at %s\n%s", p.cmd.Path, url, p.output())
		}
	}
}

// fetch returns the body of an answer, which must have the status 200.
func (p *process) fetch(t *testing.T, url, host string) string {
	t.Helper()
	status, body := p.request(t, url, host, "")
	if status != http.StatusOK {
		t.Fatalf("%s answers %d: %s\n%s", url, status, body, p.output())
	}
	return body
}
