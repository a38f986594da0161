package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestWriteAndRead(t *testing.T) {
	l := New()
	m := chat.Message{ID: "i", Conversation: "a~b", From: "a", To: "b", Body: "hello", At: 1795348800000000}
	l.Add(Entry{Kind: Device, Device: "a1", User: "a"})
	l.Add(Entry{Kind: Shown, Device: "a1", ID: m.ID, At: m.At, Sum: SumOf(m), Text: TextOf(m)})
	lines := []Line{{ID: m.ID, At: m.At, Sum: 1<<64 - 1, State: "sent"}}
	l.Add(Entry{Kind: View, Device: "a1", Conversation: "a~b", Lines: lines})
	var b bytes.Buffer
	if err := Write(&b, l.Entries()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil || !reflect.DeepEqual(got, l.Entries()) {
		t.Errorf("read %+v, %v\nwrote %+v", got, err, l.Entries())
	}
	if _, err := Read(bytes.NewBufferString(`{"kind":"up"}{`)); err == nil {
		t.Error("a truncated record was read without an error")
	}
}

// Every field that the sender fixes changes the sum. Fields that the server adds do not.
func TestSumOf(t *testing.T) {
	m := chat.Message{ID: "i", Conversation: "a~b", From: "a", To: "b", Body: "x", At: 5, ReplyTo: "r"}
	for name, change := range map[string]func(*chat.Message){
		"body":     func(m *chat.Message) { m.Body = "y" },
		"at":       func(m *chat.Message) { m.At++ },
		"reply_to": func(m *chat.Message) { m.ReplyTo = "" },
		"id":       func(m *chat.Message) { m.ID = "j" },
		"to":       func(m *chat.Message) { m.To = "c" },
	} {
		o := m
		change(&o)
		if SumOf(o) == SumOf(m) {
			t.Errorf("a change of %s does not change the sum", name)
		}
	}
	o := m
	o.AcceptedAt = 9
	if SumOf(o) != SumOf(m) {
		t.Error("accepted_at changes the sum")
	}
}

// A log streams to a file, which another log can open later. Marks divide it.
func TestStreamToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.jsonl")
	l, err := Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Add(Entry{Kind: Up, Device: "a1"})
	l.Add(Entry{Kind: Down, Device: "a1"})
	middle := l.Mark()
	if got := slices.Collect(l.After(middle)); len(got) != 0 {
		t.Errorf("after the mark: %+v, want nothing yet", got)
	}
	at := l.Add(Entry{Kind: Moved, Device: "a1"})
	if got := slices.Collect(l.After(middle)); len(got) != 1 || got[0].Kind != Moved || got[0].T != at {
		t.Errorf("after the mark: %+v, want the entry at %d", got, at)
	}
	if got := slices.Collect(l.Between(Mark{}, middle)); middle.Entries() != 2 || len(got) != 2 || got[1].Kind != Down {
		t.Errorf("before the mark: %+v, want 2 entries", got)
	}
	want := l.Entries()
	if err := l.Close(); err != nil || len(want) != 3 {
		t.Errorf("%d entries, closed: %v", len(want), err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := again.Entries(); !reflect.DeepEqual(got, want) || again.Err() != nil {
		t.Errorf("opened: %+v, %v\nwrote %+v", got, again.Err(), want)
	}
	if _, err := Create(path, nil); err == nil {
		t.Error("a record replaced an older one")
	}
}

// Readers see whole entries while others are added.
func TestReadWhileWriting(t *testing.T) {
	l, err := Create(filepath.Join(t.TempDir(), "record.jsonl"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var writers sync.WaitGroup
	const each = 2000
	for range 4 {
		writers.Go(func() {
			for range each {
				l.Add(Entry{Kind: Up, Device: "a1", Detail: strings.Repeat("x", 50)})
			}
		})
	}
	for seen := 0; seen < 4*each; {
		before := l.Mark().Entries()
		seen = 0
		for range l.All() {
			seen++
		}
		if l.Err() != nil || seen < before {
			t.Fatalf("read %d of at least %d entries: %v", seen, before, l.Err())
		}
	}
	writers.Wait()
}

// The memory of a log does not grow with its entries.
func TestBoundedMemory(t *testing.T) {
	l, err := Create(filepath.Join(t.TempDir(), "record.jsonl"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	detail := strings.Repeat("x", 100)
	before := heap()
	for i := range 100_000 { // over 10 MB
		l.Add(Entry{Kind: Shown, Device: "a1", ID: strings.Repeat("i", i%50), At: chat.Micros(i), Detail: detail})
	}
	n := 0
	for range l.All() {
		n++
	}
	if grown := heap() - before; grown > 2<<20 || n != 100_000 {
		t.Errorf("%d entries take %d bytes of memory, want at most 2 MiB", n, grown)
	}
}

// full is a file on a disk with little space.
type full struct {
	memory
	space int
}

func (f *full) Write(b []byte) (int, error) {
	if f.space -= len(b); f.space < 0 {
		return 0, syscall.ENOSPC
	}
	return f.memory.Write(b)
}

// A full disk is an error that the run gets at once, and that stays.
func TestFullDisk(t *testing.T) {
	var told []error
	l := newLog(&full{space: 1 << 20}, func(err error) { told = append(told, err) })
	for range 20_000 {
		l.Add(Entry{Kind: Up, Detail: strings.Repeat("x", 100)})
	}
	if len(told) != 1 || !errors.Is(told[0], syscall.ENOSPC) {
		t.Errorf("told %v, want no space once", told)
	}
	if !errors.Is(l.Err(), syscall.ENOSPC) || !errors.Is(l.Close(), syscall.ENOSPC) {
		t.Errorf("the error is %v, want no space", l.Err())
	}
}

// A file that ends in the middle of an entry is an error, and not a shorter record.
func TestTruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.jsonl")
	if err := os.WriteFile(path, []byte(`{"kind":"up"}`+"\n"+`{"kind":"do`), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := len(l.Entries()); n != 1 || l.Err() == nil {
		t.Errorf("%d entries, error %v; want 1 and an error", n, l.Err())
	}
}

// Each entry with a conversation is in one share, and every share has all others. A name that looks like a conversation
// is none.
func TestShare(t *testing.T) {
	l := New()
	var want []Entry
	for n := range 200 {
		l.Add(Entry{Kind: Acked, Device: `b,"conversation":"a~b"`})
		l.Add(Entry{Kind: Shown, Device: "a1", ID: strconv.Itoa(n), Conversation: fmt.Sprintf("user%d~user%d", n%20, n%20+1)})
		l.Add(Entry{Kind: View, Device: "a1", Conversation: "a~b", Lines: make([]Line, 3*n)}) // longer than the buffers
		l.Add(Entry{Kind: Checked, Name: `,"conversation":"a~b"`})
	}
	want = l.Entries()
	for _, shares := range []int{1, 2, 7} {
		times, most := map[int]int{}, 0
		for number := range shares {
			read := 0
			for n, e := range l.Share(number, shares) {
				if !reflect.DeepEqual(e, want[n]) {
					t.Fatalf("entry %d is %+v, want %+v", n, e, want[n])
				}
				times[n]++
				if e.Kind == Shown {
					read++
				}
			}
			most = max(most, read)
		}
		for n, e := range want {
			once := e.Conversation != ""
			if times[n] != shares && !once || times[n] != 1 && once {
				t.Errorf("entry %d is in %d of %d shares: %+v", n, times[n], shares, e)
			}
		}
		if shares > 1 && most > 150 {
			t.Errorf("one of %d shares has %d of 200 entries", shares, most)
		}
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}
