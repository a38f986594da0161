package authstub

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id: the first recommendation of OWASP's Password Storage Cheat Sheet.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashLanes  = 1
	hashLength = 32
)

var b64 = base64.RawStdEncoding

// hashPassword returns the password's hash in the PHC string format.
func (s *Server) hashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := s.derive(password, salt)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, s.hashMemory, hashPasses, hashLanes,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// passwordMatches reports whether hash is the hash of password. It takes the same time if hash is "", so that the
// response time does not reveal whether an account exists.
func (s *Server) passwordMatches(hash, password string) bool {
	parts := strings.Split(hash, "$") // "", argon2id, v, parameters, salt, sum
	if len(parts) != 6 {
		s.derive(password, make([]byte, 16))
		return false
	}
	salt, err1 := b64.DecodeString(parts[4])
	sum, err2 := b64.DecodeString(parts[5])
	fits := subtle.ConstantTimeCompare(s.derive(password, salt), sum) == 1
	return err1 == nil && err2 == nil && fits
}

func (s *Server) derive(password string, salt []byte) []byte {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return argon2.IDKey([]byte(password), salt, hashPasses, s.hashMemory, hashLanes, hashLength)
}

// An address is locked after maxFailures wrong passwords within failureWindow of the first one, until that window
// ends.
const (
	maxFailures   = 10
	failureWindow = 5 * time.Minute
	maxTracked    = 10_000 // addresses; beyond that, the oldest is forgotten
)

// attempts counts the wrong passwords for each address, in memory.
type attempts struct {
	now func() time.Time

	mu     sync.Mutex
	failed map[string]*failures
}

type failures struct {
	since time.Time
	count int
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, failed: map[string]*failures{}}
}

// locked reports whether sign-ins with this address are refused without checking the password.
func (a *attempts) locked(email string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.failed[email]
	return f != nil && a.now().Sub(f.since) < failureWindow && f.count >= maxFailures
}

func (a *attempts) fail(email string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	f := a.failed[email]
	if f == nil || now.Sub(f.since) >= failureWindow {
		a.forgetOldest(now)
		f = &failures{since: now}
		a.failed[email] = f
	}
	f.count++
}

func (a *attempts) succeed(email string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failed, email)
}

// forgetOldest makes room for one more address. The caller holds a.mu.
func (a *attempts) forgetOldest(now time.Time) {
	if len(a.failed) < maxTracked {
		return
	}
	oldest := ""
	for email, f := range a.failed {
		if now.Sub(f.since) >= failureWindow {
			delete(a.failed, email)
		} else if oldest == "" || f.since.Before(a.failed[oldest].since) {
			oldest = email
		}
	}
	if len(a.failed) >= maxTracked {
		delete(a.failed, oldest)
	}
}
