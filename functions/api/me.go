package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// own is a user's view of their own record.
type own struct {
	profile
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"` // they have proved that the address is theirs
	Admin         bool     `json:"admin"`
	Blocked       []string `json:"blocked"`

	Privacy chat.Privacy `json:"privacy"`

	SecondFactor    bool        `json:"second_factor"`               // sign-ins need the code of an authenticator app
	RecoveryCodes   int         `json:"recovery_codes"`              // those that were not used
	RecoveryCodesAt chat.Micros `json:"recovery_codes_at,omitempty"` // when they were made

	PasswordChangedAt chat.Micros `json:"password_changed_at,omitempty"` // in our page; 0: never

	LimitedUntil chat.Micros    `json:"limited_until,omitempty"` // until then, they may not write to new people
	Warning      *store.Warning `json:"warning,omitempty"`       // which they have not confirmed yet

	Limits *limits `json:"limits,omitempty"` // only in the answer to GET /me
	// NewestDevice is the last device where the user has signed in since they did so on the caller's. Not in exports.
	NewestDevice *device `json:"newest_device,omitempty"`
}

// limits are the limits of a user that a client may have to explain.
type limits struct {
	DocumentsPerMinute  int `json:"documents_per_minute"`
	ExportsPerDay       int `json:"exports_per_day"`
	Renames             int `json:"renames"` // changes of the username in RenameDays
	RenameDays          int `json:"rename_days"`
	DisplayNamesPerDay  int `json:"display_names_per_day"`
	PeopleListedPerHour int `json:"people_listed_per_hour"`
}

func ownOf(u store.User) own {
	o := own{profile: profileOf(u), Email: u.Email, EmailVerified: u.EmailVerified, Admin: u.Admin, Blocked: u.Blocked,
		Privacy: u.Privacy, PasswordChangedAt: u.PasswordAt, LimitedUntil: u.LimitedUntil, Warning: u.Warning,
		SecondFactor: u.SecondFactor, RecoveryCodes: len(u.Recovery), RecoveryCodesAt: u.RecoveryAt}
	if o.Blocked == nil {
		o.Blocked = []string{}
	}
	return o
}

// ownFor returns the profile of u, who is the caller.
func (a *API) ownFor(r *request, u store.User) own {
	o := ownOf(u)
	o.NewestDevice = a.newestOther(r, u)
	return o
}

func (a *API) getMe(ctx context.Context, r *request) (*response, error) {
	a.sweep(ctx, "deletions", a.users.SweepErasures)
	o := a.ownFor(r, r.user)
	o.Limits = &limits{DocumentsPerMinute: DocumentsPerMinute, ExportsPerDay: ExportsPerDay, Renames: store.MaxRenames,
		RenameDays: int(store.NameHold / (24 * time.Hour)), DisplayNamesPerDay: DisplayNamesPerDay,
		PeopleListedPerHour: a.deps.PeopleListed}
	return ok(o), nil
}

// patchMe changes the caller's names. The store limits changes of the username. Those of the display name, and of the
// case of the username, have a budget.
func (a *API) patchMe(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Username    *string `json:"username"`
		DisplayName *string `json:"display_name"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	username, displayName, err := users.CheckNames(in.Username, in.DisplayName)
	if err != nil {
		return nil, err
	}
	if username != nil && *username == r.user.Username {
		username = nil
	}
	if displayName != nil && *displayName == r.user.DisplayName {
		displayName = nil
	}
	if username == nil && displayName == nil {
		return ok(a.ownFor(r, r.user)), nil
	}
	counted := displayName != nil || store.NameKey(*username) == store.NameKey(r.user.Username)
	if counted {
		if _, err := a.ledger.take(ctx, displayNames, r.user.UID, 1, 1); err != nil {
			return nil, err
		}
	}
	u, err := a.users.Rename(ctx, r.user.UID, username, displayName, false)
	if err != nil {
		if counted {
			a.ledger.giveBack(displayNames, r.user.UID, 1)
		}
		return nil, err
	}
	return ok(a.ownFor(r, u)), nil
}

// deleteMe deletes the caller with all their data. It may be repeated until it succeeds.
func (a *API) deleteMe(ctx context.Context, r *request) (*response, error) {
	if r.user.ErasingAt == 0 {
		if err := a.requireFresh(r, freshSignIn); err != nil {
			return nil, err
		}
	}
	// A deletion that has begun continues even if the caller closes the page.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longTimeLimit)
	defer cancel()
	if err := a.users.Erase(ctx, r.user.UID); err != nil {
		return nil, err
	}
	return &response{}, nil
}

func (a *API) block(ctx context.Context, r *request) (*response, error) {
	uid := r.http.PathValue("uid")
	if uid == r.user.UID {
		return nil, problem.New(problem.Invalid, "blocked_self", "You cannot block yourself.")
	}
	if !chat.ValidUID(uid) {
		return nil, errNoUser
	}
	if _, err := a.deps.Store.User(ctx, uid); err != nil {
		return nil, noUser(err)
	}
	u, err := a.users.SetBlocked(ctx, r.user.UID, uid, true)
	if err != nil {
		return nil, err
	}
	return ok(a.ownFor(r, u)), nil
}

// unblock also accepts a user who has been deleted.
func (a *API) unblock(ctx context.Context, r *request) (*response, error) {
	u, err := a.users.SetBlocked(ctx, r.user.UID, r.http.PathValue("uid"), false)
	if err != nil {
		return nil, err
	}
	return ok(a.ownFor(r, u)), nil
}

// exportMe returns all data of the caller as one JSON file: the profile with the picture, the devices, the stars, the
// devices with push, the reports, and every conversation with its settings and messages, newest first. The file is
// written page by page, so memory does not limit its size.
//
// It reads at most ExportDocumentsPerMinute documents a minute and waits in between. Exports that are smaller are not
// delayed.
func (a *API) exportMe(ctx context.Context, r *request) (*response, error) {
	// Without this, an export that cannot begin would wait, and an instance with it.
	if _, err := a.ledger.take(ctx, exportReads, r.user.UID, 1, 1); err != nil {
		return nil, err
	}
	if _, err := a.ledger.take(ctx, exports, r.user.UID, 1, 1); err != nil {
		return nil, err
	}
	return &response{file: "phoenix-chat-export.json", contentType: "application/json", stream: func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		e := exporter{a: a, w: w, enc: enc, uid: r.user.UID, meter: r.meter}
		return e.run(ctx, r.user, a.devicesOf(r))
	}}, nil
}

// exporter writes one export. After the first error, err, it writes nothing more.
type exporter struct {
	a     *API
	w     io.Writer
	enc   *json.Encoder
	uid   string
	meter *store.Meter
	err   error
}

// exportPage is the number of conversations that an export reads at once. Each may need four documents.
const exportPage = 50

// paced calls read, which reads at most the given number of documents, when the caller's budget of exports has them. It
// waits once, for the next window. If an export on another instance is faster then, this one ends.
func (e *exporter) paced(ctx context.Context, most int64, read func() error) error {
	_, err := e.a.ledger.take(ctx, exportReads, e.uid, most, most)
	if errors.Is(err, errRateLimited) {
		if err := e.a.deps.Wait(ctx, problem.Of(err).RetryAfter); err != nil {
			return err
		}
		_, err = e.a.ledger.take(ctx, exportReads, e.uid, most, most)
	}
	if err != nil {
		return err
	}
	before := e.meter.Read()
	err = read()
	e.a.ledger.giveBack(exportReads, e.uid, most-(e.meter.Read()-before))
	return err
}

func (e *exporter) text(s string) {
	if e.err == nil {
		_, e.err = io.WriteString(e.w, s)
	}
}

func (e *exporter) value(v any) {
	if e.err == nil {
		e.err = e.enc.Encode(v)
	}
}

func (e *exporter) run(ctx context.Context, u store.User, devices []device) error {
	e.text(`{"exported_at":`)
	e.value(micros(e.a.deps.Now()))
	e.text(`,"profile":`)
	e.value(ownOf(u))
	e.picture(ctx, u)
	e.text(`,"devices":`)
	e.value(devices)
	choices := e.choices(ctx)
	e.text(`,"stars":`)
	e.value(starsOf(choices))
	e.push(ctx)
	e.reports(ctx)
	e.text(`,"conversations":[`)
	for cursor, first := "", true; e.err == nil; {
		var page []listedConversation
		var next string
		err := e.paced(ctx, 4*exportPage+1, func() (err error) {
			page, next, err = e.a.conversationsFor(ctx, e.uid, e.uid, cursor, exportPage)
			return err
		})
		if err != nil {
			return err
		}
		forMember(page, u, choices)
		for _, c := range page {
			if !first {
				e.text(",")
			}
			first = false
			e.text(`{"conversation":`)
			e.value(c)
			e.messages(ctx, c.ID)
			e.text("}")
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	e.text("]}\n")
	return e.err
}

// choices reads the settings of the user.
func (e *exporter) choices(ctx context.Context) (c store.Choices) {
	err := e.paced(ctx, 1, func() (err error) {
		c, err = e.a.deps.Store.Choices(ctx, e.uid)
		return err
	})
	if e.err == nil {
		e.err = err
	}
	return c
}

// push writes the user's devices with a push subscription.
func (e *exporter) push(ctx context.Context) {
	var list []store.Subscription
	err := e.paced(ctx, 1, func() (err error) {
		list, err = e.a.deps.Store.Subscriptions(ctx, e.uid)
		return err
	})
	if e.err == nil {
		e.err = err
	}
	e.text(`,"push":`)
	e.value(pushDevices(list))
}

// picture writes the picture of u, if there is one.
func (e *exporter) picture(ctx context.Context, u store.User) {
	if u.Picture == "" {
		return
	}
	var p store.Picture
	err := e.paced(ctx, 1, func() (err error) {
		p, err = e.a.deps.Store.Picture(ctx, u.UID, u.Picture)
		return err
	})
	switch {
	case errors.Is(err, problem.ErrNotFound): // it was replaced after u was read
	case err != nil:
		e.err = err
	default:
		e.text(`,"picture":`)
		e.value(p)
	}
}

func (e *exporter) messages(ctx context.Context, id string) {
	e.text(`,"messages":[`)
	first := true
	for pos, more := (store.Position{}), true; more && e.err == nil; {
		var page []delivery.Delivered
		var older bool
		err := e.paced(ctx, store.MaxPage+1, func() (err error) {
			page, older, err = e.a.deps.Store.Messages(ctx, id, pos, store.MaxPage)
			return err
		})
		if err != nil {
			e.err = err
			return
		}
		for i := len(page) - 1; i >= 0; i-- {
			if !first {
				e.text(",")
			}
			first = false
			e.value(page[i])
			pos = store.Position{At: page[i].At, Key: page[i].Key()}
		}
		more = older
	}
	e.text("]")
}
