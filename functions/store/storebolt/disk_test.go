package storebolt_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func message(i int) delivery.Delivered {
	at := chat.Micros(1e15 + i)
	return delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: "ada~bob",
		From: "ada", To: "bob",
		Body: strings.Repeat("x", 1000), At: at, AcceptedAt: at}, DeliveredAt: at}
}

func addUser(s *storebolt.Store, t testing.TB, uid, display string) {
	t.Helper()
	lease, err := s.Reserve(t.Context(), uid+"@example.org", uid, uid, "a", 1, time.Minute)
	if err == nil {
		err = s.Commit(t.Context(), lease, store.User{UID: uid, Username: uid, DisplayName: display,
			Email: uid + "@example.org", CreatedAt: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "chat.db") // the folder is created as well
	s := open(t, path, storebolt.Options{})
	addUser(s, t, "ada", "Ada")
	m := message(1)
	if _, err := s.Save(t.Context(), []delivery.Delivered{m}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), "ada"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("closed store: error %v, want unavailable", err)
	}
	s = open(t, path, storebolt.Options{})
	if u, err := s.UserByUsername(t.Context(), "ADA"); err != nil || u.DisplayName != "Ada" {
		t.Errorf("ada after a restart: %+v, %v", u, err)
	}
	if page, _, err := s.Messages(t.Context(), "ada~bob", store.Position{}, 10); err != nil || len(page) != 1 ||
		!reflect.DeepEqual(page[0], m) {
		t.Errorf("history after a restart: %+v, %v", page, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file %v, %v", info.Mode(), err)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	open(t, path, storebolt.Options{})
	if _, err := storebolt.Open(path, storebolt.Options{}); !errors.Is(err, storebolt.ErrLocked) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("opening the file twice: error %v, want ErrLocked", err)
	}
}

func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no data file ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storebolt.Open(path, storebolt.Options{}); !errors.Is(err, storebolt.ErrDamaged) {
		t.Errorf("another kind of file: error %v, want ErrDamaged", err)
	}
}

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storebolt.Open(filepath.Join(file, "chat.db"), storebolt.Options{}); err == nil {
		t.Error("a file in place of the folder is accepted")
	}
	if _, err := storebolt.Open(dir, storebolt.Options{}); err == nil {
		t.Error("a folder in place of the file is accepted")
	}
	if os.Getuid() == 0 {
		return // permissions do not apply to root
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := storebolt.Open(filepath.Join(dir, "chat.db"),
		storebolt.Options{}); !errors.Is(err, storebolt.ErrReadOnly) {
		t.Errorf("read-only folder: error %v, want ErrReadOnly", err)
	}
}

// fillUp saves messages until saving fails, and returns how many were saved.
func fillUp(t *testing.T, s *storebolt.Store) int {
	t.Helper()
	for i := range 100_000 {
		if _, err := s.Save(t.Context(), []delivery.Delivered{message(i)}, nil); err != nil {
			if !errors.Is(err, problem.ErrUnavailable) {
				t.Fatalf("full disk: error %v, want unavailable", err)
			}
			return i
		}
	}
	t.Fatal("the disk does not fill up")
	return 0
}

// checkFull checks that a store whose disk is full has all messages that were saved, and nothing of the last one.
func checkFull(t *testing.T, s *storebolt.Store, saved int) {
	t.Helper()
	have, pos := 0, store.Position{}
	for more := true; more; {
		page, older, err := s.Messages(t.Context(), "ada~bob", pos, 200)
		if err != nil {
			t.Fatal(err)
		}
		have += len(page)
		if more = older; more {
			pos = store.Position{At: page[0].At, Key: page[0].Key()}
		}
	}
	n, err := s.MessagesOn(t.Context(), chat.Micros(1e15).Time().Format(time.DateOnly))
	list, _, lerr := s.Conversations(t.Context(), "bob", "", 1)
	if have != saved || err != nil || lerr != nil || n != int64(saved) || list[0].Unread != min(saved, store.MaxUnread) {
		t.Errorf("%d saved, %d in the history, %d counted (%v), listed %+v (%v)", saved, have, n, err, list, lerr)
	}
}

func TestFullFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	s := open(t, path, storebolt.Options{MaxSize: 1 << 20, NoSync: true})
	n := fillUp(t, s)
	checkFull(t, s, n)
	s.Close()
	// With more room, saving works again.
	s = open(t, path, storebolt.Options{NoSync: true})
	checkFull(t, s, n)
	if _, err := s.Save(t.Context(), []delivery.Delivered{message(n)}, nil); err != nil {
		t.Fatal(err)
	}
	checkFull(t, s, n+1)
}

const asFullDisk = "PHOENIX_TEST_FULL_DISK"

// A limit of the file size makes writes fail as on a full disk. The limit applies to the process, so the test runs
// itself in another process.
func TestFullDisk(t *testing.T) {
	if path := os.Getenv(asFullDisk); path != "" {
		s := open(t, path, storebolt.Options{NoSync: true})
		addUser(s, t, "ada", "Ada")
		signal.Ignore(syscall.SIGXFSZ) // the default action would end the process
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		n := fillUp(t, s)
		checkFull(t, s, n)
		if u, err := s.User(t.Context(), "ada"); err != nil || u.UID != "ada" {
			t.Errorf("ada %+v, %v", u, err)
		}
		fmt.Println("SAVED", n)
		return
	}
	path := filepath.Join(t.TempDir(), "chat.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), asFullDisk+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, count, _ := strings.Cut(string(out), "SAVED ")
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil || n < 100 {
		t.Fatalf("%d messages saved (%v), want at least 100:\n%s", n, err, out)
	}
	s := open(t, path, storebolt.Options{NoSync: true})
	checkFull(t, s, n)
}
