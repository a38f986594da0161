package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
	"time"
	"unique"
)

// Log is a record that grows. Its methods are safe for concurrent use.
type Log struct {
	start  time.Time
	file   file
	failed func(error)

	mu       sync.Mutex
	line     bytes.Buffer // the line that Add encodes; guarded by mu
	encoder  *json.Encoder
	buffered *bufio.Writer // to file; guarded by mu
	end      Mark          // guarded by mu
	progress int           // see Progress; guarded by mu
	err      error         // see Err; guarded by mu
}

// file holds the lines of a Log. Reading what was written must be safe while more is written.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Mark is a place between two entries of a Log. The zero Mark is its beginning.
type Mark struct {
	entries int
	bytes   int64
}

// Entries returns how many entries precede the mark.
func (m Mark) Entries() int { return m.entries }

// New returns an empty log in memory that begins now. Tests use it; long runs use Create.
func New() *Log { return newLog(&memory{}, nil) }

// Create returns an empty log that begins now and streams its entries to a new file at path. If an entry cannot be
// written, such as on a full disk, the log calls failed once with the error, so that the run can end; failed may be
// nil. Err and Close return the same error. The caller closes the log.
func Create(path string, failed func(error)) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the record: %w", err)
	}
	return newLog(f, failed), nil
}

// Open opens the file of an earlier log for reading. The caller closes the log.
func Open(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open the record: %w", err)
	}
	l := newLog(f, nil)
	l.end.bytes = info.Size()
	return l, nil
}

func newLog(f file, failed func(error)) *Log {
	l := &Log{start: time.Now(), file: f, failed: failed, buffered: bufio.NewWriterSize(f, 1<<18)}
	l.encoder = json.NewEncoder(&l.line)
	return l
}

// Add appends e, with the time since the log began. It returns that time, in microseconds.
func (l *Log) Add(e Entry) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.T = time.Since(l.start).Microseconds()
	switch e.Kind {
	case Shown, State, Saved:
		l.progress++
	}
	if l.err != nil {
		return e.T
	}
	l.line.Reset()
	err := l.encoder.Encode(&e)
	if err == nil {
		_, err = l.buffered.Write(l.line.Bytes())
	}
	if err != nil {
		l.setError(fmt.Errorf("write entry %d of the record: %w", l.end.entries, err))
		return e.T
	}
	l.end.entries++
	l.end.bytes += int64(l.line.Len())
	return e.T
}

// setError keeps the first error. The caller holds mu.
func (l *Log) setError(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	if l.failed != nil {
		l.failed(err)
	}
}

// Progress returns a number that grows whenever a message makes progress: shown somewhere, in another state, or
// saved. Repeated attempts do not count, so it stays the same once everything has arrived, or nothing can.
func (l *Log) Progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// Err returns the first error of writing or reading the record. A verdict is void if there is one, because entries are
// missing.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close writes what is buffered, and closes the file. It returns the error of Err, or its own.
func (l *Log) Close() error {
	l.flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		l.setError(fmt.Errorf("close the record: %w", err))
	}
	return l.err
}

// flush writes what is buffered to the file.
func (l *Log) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if err := l.buffered.Flush(); err != nil {
		l.setError(fmt.Errorf("write the record: %w", err))
	}
}

// Mark returns the present end of the log.
func (l *Log) Mark() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// All iterates over the entries so far. Err reports an entry that cannot be read, which ends the iteration.
func (l *Log) All() iter.Seq[Entry] { return l.Between(Mark{}, l.Mark()) }

// After iterates over the entries from a mark up to now. Err reports an entry that cannot be read.
func (l *Log) After(from Mark) iter.Seq[Entry] { return l.Between(from, l.Mark()) }

// Between iterates over the entries between two marks. Err reports an entry that cannot be read.
func (l *Log) Between(from, to Mark) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range l.between(from, to, nil) {
			if !yield(e) {
				return
			}
		}
	}
}

// Share iterates over the entries so far that have no conversation, or one of a share of all conversations, together
// with the numbers of the entries. A hash divides the conversations into so many shares, of which the first is number
// 0. A reader that keeps what it reads needs less memory if it reads one share after the other. Entries of other shares
// are not decoded. Err reports an entry that cannot be read.
func (l *Log) Share(number, shares int) iter.Seq2[int, Entry] {
	return l.between(Mark{}, l.Mark(), func(line []byte) bool {
		conversation := conversationIn(line)
		return len(conversation) == 0 || shareOf(conversation, shares) == number
	})
}

// between iterates over the entries between two marks whose lines are wanted, with their numbers. A nil function wants
// all of them.
func (l *Log) between(from, to Mark, wanted func(line []byte) bool) iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		l.flush()
		n := from.entries
		lines := bufio.NewReaderSize(io.NewSectionReader(l.file, from.bytes, to.bytes-from.bytes), 1<<18)
		var long []byte
		for ; ; n++ {
			line, err := readLine(lines, &long)
			if err == io.EOF {
				return
			}
			var e Entry
			if err == nil {
				if wanted != nil && !wanted(line) {
					continue
				}
				e, err = decode(line)
			}
			if err != nil {
				l.mu.Lock()
				l.setError(fmt.Errorf("read entry %d of the record: %w", n, err))
				l.mu.Unlock()
				return
			}
			if !yield(n, e) {
				return
			}
		}
	}
}

// Size returns how many bytes the entries so far take.
func (l *Log) Size() int64 { return l.Mark().bytes }

// Entries returns the entries so far, all in memory. A long run uses All instead.
func (l *Log) Entries() []Entry { return slices.Collect(l.All()) }

// readLine returns the next line. It is valid until the next call. A line that does not fit into the reader is copied
// to long. At the end of the file, the error is io.EOF; a last line without its end is io.ErrUnexpectedEOF.
func readLine(r *bufio.Reader, long *[]byte) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		*long = (*long)[:0]
		for err == bufio.ErrBufferFull {
			*long = append(*long, line...)
			line, err = r.ReadSlice('\n')
		}
		*long = append(*long, line...)
		line = *long
	}
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return line, err
}

// decode returns the entry of a line. Equal strings share their memory, because readers keep many of them.
func decode(line []byte) (e Entry, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, err
	}
	for _, s := range []*string{&e.Device, &e.User, &e.ID, &e.Conversation, &e.Name} {
		*s = unique.Make(*s).Value()
	}
	for i := range e.Lines {
		e.Lines[i].ID = unique.Make(e.Lines[i].ID).Value()
		e.Lines[i].State = unique.Make(e.Lines[i].State).Value()
	}
	return e, nil
}

// conversationIn returns the conversation in the line of an entry, or nothing. A conversation is hashed as its line
// spells it, which is the same in all lines of a record. No field before it can contain its name in quotes, because
// JSON escapes them.
func conversationIn(line []byte) []byte {
	_, after, found := bytes.Cut(line[:min(len(line), conversationWithin)], conversationField)
	if !found {
		return nil
	}
	conversation, _, _ := bytes.Cut(after, []byte{'"'})
	return conversation
}

var conversationField = []byte(`,"conversation":"`)

// conversationWithin is more than the bytes of an entry up to the end of its conversation.
const conversationWithin = 1024

// shareOf returns the number of the share of a conversation.
func shareOf(conversation []byte, shares int) int {
	return int(crc32.ChecksumIEEE(conversation) % uint32(shares))
}

// Write writes entries in the format of a Log.
func Write(w io.Writer, entries []Entry) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range entries {
		if err := enc.Encode(&entries[i]); err != nil {
			return fmt.Errorf("write entry %d: %w", i, err)
		}
	}
	return b.Flush()
}

// Read reads entries in the format of a Log.
func Read(r io.Reader) (entries []Entry, err error) {
	var long []byte
	for lines := bufio.NewReader(r); ; {
		line, err := readLine(lines, &long)
		if err == io.EOF {
			return entries, nil
		}
		var e Entry
		if err == nil {
			e, err = decode(line)
		}
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w", len(entries), err)
		}
		entries = append(entries, e)
	}
}

// memory is a file in memory.
type memory struct {
	mu sync.RWMutex
	b  []byte // guarded by mu
}

// Write implements io.Writer.
func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = append(m.b, b...)
	return len(b), nil
}

// ReadAt implements io.ReaderAt.
func (m *memory) ReadAt(b []byte, at int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(b, m.b[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (m *memory) Close() error { return nil }
