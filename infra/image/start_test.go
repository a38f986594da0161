package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
)

// maxStart is how long realtime may take from its start until /health/ready answers. A busy machine may take longer.
const maxStart = time.Second

// startImage runs the unpacked image as a container runtime would, with a Redis for this test, until it is ready. It
// returns the page that the program serves. If the test runs as root, the program runs in the image's root folder and
// as the image's user, so that it sees only files of the image. Otherwise it runs as the user of the test.
func startImage(t *testing.T, root string, config v1.Config) (page string) {
	t.Helper()
	redis := miniredis.RunT(t)
	port, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(config.Entrypoint[0])
	cmd.Dir = config.WorkingDir
	cmd.Env = append([]string{
		"PORT=" + port, "PROJECT_ID=demo-chat", "HOSTED_URL=http://127.0.0.1:" + port,
		"API_BASE=http://127.0.0.1:1/api",
		"FIREBASE_API_KEY=a-key", "REDIS_ADDR=" + redis.Addr(), "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1",
		"FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "PUBSUB_EMULATOR_HOST=127.0.0.1:1",
	}, config.Env...)
	if os.Getuid() == 0 {
		// Only the owner may read the temporary folder by default.
		for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	} else {
		t.Log("the test does not run as root, so the program runs outside the image's root folder")
		cmd.Path = filepath.Join(root, config.Entrypoint[0])
		cmd.Env = append(cmd.Env, "CLIENT_DIR="+filepath.Join(root, clientDir))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	url := "http://127.0.0.1:" + port
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for body, err := get(url + "/health/ready"); err != nil; body, err = get(url + "/health/ready") {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("the program ended: %v\n%s", err, out.Bytes())
		case <-late:
			_ = cmd.Process.Kill()
			<-ended
			t.Fatalf("the program is not ready after 20 s: %v %s\n%s", err, body, out.Bytes())
		}
	}
	took := time.Since(began)
	t.Logf("ready after %d ms", took.Milliseconds())
	if took > maxStart && !busy() {
		t.Errorf("ready after %s, want at most %s", took, maxStart)
	}
	for _, path := range []string{"/health/live", "/config.json", "/"} {
		var err error
		if page, err = get(url + path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, out.Bytes())
		}
	case <-time.After(10 * time.Second): // the limit of Cloud Run
		_ = cmd.Process.Kill()
		<-ended
		t.Error("the program did not end within 10 s of SIGTERM")
	}
	return page
}

// get returns the body of the answer. A status other than 200 is an error.
func get(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = &statusError{res.Status}
	}
	return string(body), err
}

type statusError struct{ status string }

func (e *statusError) Error() string { return "the answer is " + e.status }

// busy reports whether Linux's load average of the last minute is 1 or more.
func busy() bool {
	text, err := os.ReadFile("/proc/loadavg")
	return err == nil && !bytes.HasPrefix(text, []byte("0."))
}
