package api

import (
	"context"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of one user. GET /me publishes them, so that clients can explain a refusal.
const (
	DocumentsPerMinute       = 3000 // documents read by lists, searches and history
	ExportsPerDay            = 3
	ReportsPerDay            = 10
	ExportDocumentsPerMinute = 1500 // documents read by exports: larger ones are paced, not refused
	DisplayNamesPerDay       = 10   // changes of the display name, or of the case of the username
	DefaultPeopleListed      = 500  // distinct people that lists and searches show in an hour; see Deps.PeopleListed
)

// CallUnits is what each call is charged besides the documents that it reads, since the invocation is billed as well.
// One unit costs about as much as one document (bill_test.go).
const CallUnits = 2

// Budget limits one user on a class of routes. A window begins with its first use, and is full again when it ends.
//
// The budget holds over all instances: an instance leases it in chunks from the store, in the document limits/{key}. A
// small free allowance per instance comes first. It is as large as ordinary use, which so costs no extra operation of
// the store, and it is what a user gets beyond Shared if their calls reach many instances.
type Budget struct {
	Name    string        // of the class; the store's key is "<name>-<uid>"
	Segment string        // the function whose instances have this allowance; "": all functions with a token
	Window  time.Duration // the length of a window
	Shared  int64         // units in a window, over all instances
	Free    int64         // units in a window on each instance, before it leases
	Chunk   int64         // units that an instance leases at once
	Calls   bool          // each call costs one unit; otherwise, CallUnits and the documents that it has read

	// Reads and Writes are the documents that a call reads and writes at most, if Calls is set; see bill_test.go. They are
	// 0 for a budget whose calls use another one, too.
	Reads, Writes int64

	refused *problem.Error // without RetryAfter
}

// errRateLimited answers a call beyond a budget.
var errRateLimited = problem.New(problem.TooMany, "rate_limited",
	"You are doing this too often. Wait a moment and try again.")

// Budgets of routes. Reading has the same shared budget everywhere. Blocking, signing out and leaving have separate
// budgets, because people must be able to protect themselves when another budget is used up.
var (
	readUsers         = reading("users", 60)          // one page of the directory
	readConversations = reading("conversations", 210) // one page, with counts and profiles
	readMessages      = reading("messages", 110)      // two pages
	readMe            = reading("me", 20)
	readAdmin         = reading("admin", 20) // callers of admin routes whose token does not say that they are an admin

	// adminCalls is for tokens with the claim, which only we give.
	adminCalls = Budget{Name: "admin", Segment: "admin", Window: time.Minute, Shared: 60_000, Free: 2_000, Chunk: 5_000,
		refused: errRateLimited}

	// A change of the username costs most: it reads the caller, the user and the name, and writes the user and two names.
	changeProfile = Budget{Name: "profile", Segment: "me", Window: time.Hour, Shared: 20, Chunk: 5, Calls: true,
		Reads: 4, Writes: 3, refused: errRateLimited}
	// Registering a device for push reads the caller, the user, the devices, the owner of the endpoint and their record
	// and devices, and for the gates the user once and the owner twice. It writes the user, the devices and the endpoint,
	// and so does the removal that may follow. (Taking the endpoint from its owner writes less.) A test of pushes costs
	// less, also if the subscription has ended.
	registerPush = Budget{Name: "push", Segment: "me", Window: time.Hour, Shared: 10, Chunk: 2, Calls: true,
		Reads: 9, Writes: 6, refused: errRateLimited}
	// Blocking costs most: it reads the caller, the other person and the user, writes the user, and reads it again for
	// the gate. A report costs as much: it reads the caller, both users and the report, and writes the report.
	safety = Budget{Name: "safety", Segment: "me", Window: time.Minute, Shared: 20, Free: 2, Chunk: 10, Calls: true,
		Reads: 4, Writes: 1, refused: errRateLimited}
	// A setting reads the caller, the user and the settings, and writes the settings. The fourth read allows for a
	// transaction that another device of the user makes us repeat. An acceptance also writes the conversation, and takes
	// two calls.
	choose = Budget{Name: "choose", Segment: "me", Window: time.Minute, Shared: 30, Free: 1, Chunk: 10, Calls: true,
		Reads: 4, Writes: 1, refused: errRateLimited}
	leave = Budget{Name: "leave", Segment: "me", Window: time.Minute, Shared: 5, Free: 1, Chunk: 5, Calls: true,
		Reads: 1, refused: errRateLimited} // and once, the deletion
	askExport = Budget{Name: "ask-export", Segment: "me", Window: time.Hour, Shared: 5, Free: 1, Chunk: 5, Calls: true,
		Reads: 1, refused: errRateLimited}

	// newSignIns limits the sign-ins that are recorded, which the first call of each does (API.followAccount). A client
	// begins with several calls at once, and the instance of each function may record the sign-in, so one that is ordinary
	// takes up to four. If the password has changed, the call ends earlier sign-ins: it reads and writes the user, reads
	// the devices with push, and reads the user again for the gate. It always reads and writes the user with the sign-in.
	newSignIns = Budget{Name: "sign-in", Window: time.Minute, Shared: 20, Chunk: 1, Calls: true, Reads: 4, Writes: 2,
		refused: errRateLimited}

	reports = Budget{Name: "report", Segment: "me", Window: 24 * time.Hour, Shared: ReportsPerDay, Chunk: 1, Calls: true,
		refused: problem.New(problem.TooMany, "rate_limited", "You can report 10 times a day. Try again later.")}
	exports = Budget{Name: "export", Segment: "me", Window: 24 * time.Hour, Shared: ExportsPerDay, Chunk: 1, Calls: true,
		refused: problem.New(problem.TooMany, "rate_limited",
			"You can export your data 3 times a day. Try again later.")}
	// An instance leases all of it at once, so that the exports of a user run on one instance at a time.
	exportReads = Budget{Name: "export-read", Segment: "me", Window: time.Minute, Shared: ExportDocumentsPerMinute,
		Chunk: ExportDocumentsPerMinute, refused: errRateLimited}
	displayNames = Budget{Name: "display-name", Segment: "me", Window: 24 * time.Hour, Shared: DisplayNamesPerDay,
		Chunk: 2, Calls: true, refused: problem.New(problem.TooMany, "rate_limited",
			"You can change your display name 10 times a day. Try again later.")}
)

func reading(segment string, free int64) Budget {
	return Budget{Name: "read", Segment: segment, Window: time.Minute, Shared: DocumentsPerMinute, Free: free, Chunk: 500,
		refused: errRateLimited}
}

// peopleListed returns the budget of distinct people in lists and searches. The free allowance is part of the limit, so
// that one instance never shows more. It covers the results of an ordinary search.
func peopleListed(hourly int) Budget {
	free := min(25, int64(hourly))
	return Budget{Name: "people", Segment: "users", Window: time.Hour, Shared: int64(hourly) - free, Free: free,
		Chunk: 100, refused: problem.New(problem.TooMany, "rate_limited",
			"You have looked through many people in the last hour. Try again later.")}
}

// Budgets lists every budget of a user, for the tests that add up what one account can cost. Budgets of the same name
// share Shared. The budget of admins is not included.
func Budgets() []Budget {
	return []Budget{readUsers, readConversations, readMessages, readMe, readAdmin, changeProfile, registerPush, safety,
		choose, leave, askExport, newSignIns, reports, exports, exportReads, displayNames, peopleListed(DefaultPeopleListed)}
}

// maxBalances limits the users whose budgets an instance remembers. A user who is forgotten has their free allowance
// again. 10,000 users need about 4 MB.
const maxBalances = 10_000

// ledger keeps what this instance has of the budgets. It is safe for concurrent use.
type ledger struct {
	store store.Limits
	now   func() time.Time

	mu       sync.Mutex
	balances map[string]*balance // by budget, segment and user
}

// balance is what this instance has of one budget of one user. lock holds one token while it is free, and guards the
// other fields. A lease is taken under the lock, so that concurrent calls do not lease twice.
type balance struct {
	lock       chan struct{}
	free       int64
	freeEnds   time.Time
	leased     int64 // negative: calls have read more than they reserved
	leasedEnds time.Time
	exhausted  time.Time // until then, the store has no more: it is not asked again
}

// balance returns the locked balance of a user. The caller must call unlock.
func (l *ledger) balance(ctx context.Context, b Budget, who string) (*balance, error) {
	key := b.Name + "/" + b.Segment + "/" + who
	l.mu.Lock()
	have := l.balances[key]
	if have == nil {
		if len(l.balances) >= maxBalances {
			l.forget()
		}
		have = &balance{lock: make(chan struct{}, 1)}
		have.lock <- struct{}{}
		if l.balances == nil {
			l.balances = map[string]*balance{}
		}
		l.balances[key] = have
	}
	l.mu.Unlock()
	select {
	case <-have.lock:
	case <-ctx.Done():
		return nil, problem.ErrUnavailable.WithCause(ctx.Err())
	}
	now := l.now()
	if !now.Before(have.freeEnds) {
		have.free, have.freeEnds = b.Free, now.Add(b.Window)
	}
	if !now.Before(have.leasedEnds) {
		have.leased = 0
	}
	return have, nil
}

func (b *balance) unlock() { b.lock <- struct{}{} }

// forget removes balances whose windows have ended, or else one of any kind. l.mu must be held.
func (l *ledger) forget() {
	now, looked, removed := l.now(), 0, 0
	last := ""
	for key, b := range l.balances {
		select {
		case <-b.lock:
			ended := !now.Before(b.freeEnds) && !now.Before(b.leasedEnds) && !now.Before(b.exhausted)
			b.unlock()
			if ended {
				delete(l.balances, key)
				removed++
			}
			last = key
		default: // in use
		}
		if looked++; looked == 200 {
			break
		}
	}
	if removed == 0 {
		delete(l.balances, last)
	}
}

// take takes n units of a user's budget or, if fewer are left, as many as are left, but at least least. It returns how
// many it took. The error is that of the budget, with RetryAfter, or ErrUnavailable. Once the store has said that
// nothing is left, a refusal does not ask it again before the window has ended.
func (l *ledger) take(ctx context.Context, b Budget, who string, n, least int64) (int64, error) {
	have, err := l.balance(ctx, b, who)
	if err != nil {
		return 0, err
	}
	defer have.unlock()
	now := l.now()
	if missing := n - have.free - have.leased; missing > 0 && !now.Before(have.exhausted) {
		ctx, _ := store.WithMeter(ctx) // a lease is not charged as a document
		want := max(missing, b.Chunk)
		taken, ends, err := l.store.Take(ctx, b.Name+"-"+who, want, b.Shared, b.Window, micros(now))
		if err != nil {
			return 0, err
		}
		have.leased += taken
		have.leasedEnds = ends.Time()
		if taken < want {
			have.exhausted = ends.Time()
		}
	}
	granted := min(n, have.free+have.leased)
	if granted < least {
		return 0, b.refused.WithRetry(max(have.exhausted.Sub(now), time.Second))
	}
	fromFree := min(granted, have.free)
	have.free -= fromFree
	have.leased -= granted - fromFree
	return granted, nil
}

// exhausted returns the refusal of a budget that is known to be used up. It does not ask the store.
func (l *ledger) exhausted(ctx context.Context, b Budget, who string) error {
	have, err := l.balance(ctx, b, who)
	if err != nil {
		return err
	}
	defer have.unlock()
	if now := l.now(); have.free+have.leased <= 0 && now.Before(have.exhausted) {
		return b.refused.WithRetry(max(have.exhausted.Sub(now), time.Second))
	}
	return nil
}

// giveBack returns units that were taken and not used. A negative number is charged.
func (l *ledger) giveBack(b Budget, who string, n int64) {
	if n == 0 {
		return
	}
	have, err := l.balance(context.Background(), b, who)
	if err != nil {
		return
	}
	defer have.unlock()
	now := l.now()
	switch {
	case now.Before(have.leasedEnds):
		have.leased += n
	case n > 0:
		have.free = min(have.free+n, b.Free)
	default:
		have.leased, have.leasedEnds = n, now.Add(b.Window)
	}
}

// reserve takes from the budget of the route what the call may cost at most. It is called as soon as the token says who
// the caller is, so that a refused call does not read their record.
func (a *API) reserve(ctx context.Context, r *request) error {
	r.budget = r.route.budget
	switch {
	case r.budget.Name == "" && r.route.access != admin: // a test demands that every route names its budget
		r.budget = readMe
	case r.route.access == admin && r.claims.Admin:
		r.budget = adminCalls
	case r.route.access == admin:
		r.budget = readAdmin
	}
	if also := r.route.also; also.Name != "" && !r.claims.Admin {
		if err := a.ledger.exhausted(ctx, also, r.claims.UID); err != nil {
			return err
		}
	}
	n := int64(1)
	if !r.budget.Calls {
		n = CallUnits + 1 + otherReads
		if r.route.most != nil {
			n = CallUnits + 1 + int64(r.route.most(r))
		}
	}
	if _, err := a.ledger.take(ctx, r.budget, r.claims.UID, n, n); err != nil {
		return err
	}
	r.reserved = n
	return nil
}

// otherReads is what a call reserves, besides the caller's record, on a route that does not say what it may read.
const otherReads = 5

// settle replaces what the call has reserved by what it has cost.
func (a *API) settle(r *request) {
	if r.reserved > 0 && !r.budget.Calls {
		a.ledger.giveBack(r.budget, r.claims.UID, r.reserved-CallUnits-r.meter.Read())
	}
}
