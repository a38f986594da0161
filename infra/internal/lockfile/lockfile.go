// Package lockfile keeps a second process out of a folder: a lock that the
// operating system drops when its holder ends, however it ends.
package lockfile

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld says that another process, or another Lock of this one, holds the lock.
var ErrHeld = errors.New("the lock is held by another process")

// Lock is a held lock.
type Lock struct{ file *os.File }

// Take takes the lock at path, a file that is made where it is missing and
// stays behind empty. It does not wait: the error is ErrHeld, or what the system says of the file.
func Take(path string) (*Lock, error) {
	f, err := open(path)
	if err != nil {
		if errors.Is(err, ErrHeld) {
			return nil, ErrHeld
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return &Lock{f}, nil
}

// Release lets go of the lock.
func (l *Lock) Release() error { return l.file.Close() }
