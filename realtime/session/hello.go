package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// hello waits for the hello, admits its user, and starts the feeder. The reader waits for it.
func (s *session) hello() error {
	_ = s.in.SetReadDeadline(time.Now().Add(wire.HelloWithin)) // if this fails, reading fails too
	f, err := s.readHello()
	if err != nil {
		return err
	}
	return s.accept(f)
}

// accept verifies the token of a hello and attaches the socket.
func (s *session) accept(f wire.ClientFrame) error {
	claims, err := s.deps.Verifier.Verify(s.ctx, f.Token)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.uid, s.device, s.claims = claims.UID, f.Device, claims
	s.background = f.Background
	s.looking = f.Looking && !f.Background
	s.looks, s.vouched = s.looking, s.looking
	s.mu.Unlock()
	s.extendReadDeadline()
	// From here on, the limits of the user apply, and no longer those of strangers. The rest of the hello takes long if
	// many users come back at the same time.
	if s.user = s.sessions.admitUser(s.uid); s.user == nil {
		return ErrRateLimited.WithRetry(floodRetry).WithCause(errors.New("too many hellos of the user at the same time"))
	}
	defer s.user.admitted()
	s.reportGreeted()
	if err := s.attach(f.Cursor); err != nil {
		return err
	}
	d := s.deps
	s.setAlarm(alarmToken, s.claims.Expires.Sub(d.Now()))
	s.setAlarm(alarmRotate, d.AgeMin+d.Jitter(d.AgeMax-d.AgeMin+1))
	if s.background {
		s.setAlarm(alarmLeave, wire.BackgroundFor-time.Since(s.began))
	}
	s.startServing()
	s.counters.Welcomed.Add(1)
	if d.Welcomed != nil && !s.background {
		d.Welcomed(signins.Use{UID: s.uid, AuthTime: claims.AuthTime, At: d.Now(), Client: s.client})
	}
	s.log().Info("socket opened")
	return nil
}

// reportGreeted calls greeted once.
func (s *session) reportGreeted() {
	if s.greeted != nil {
		s.greeted()
		s.greeted = nil
	}
}

// readHello returns the first frame of a known type, which must be a hello.
func (s *session) readHello() (wire.ClientFrame, error) {
	for {
		var f wire.ClientFrame
		kind, r, err := s.conn.NextReader()
		if err == nil {
			f, err = s.decodeFrame(kind, r)
		} else {
			err = readError(err)
		}
		switch {
		case errors.Is(err, errSilent):
			return f, ErrHelloTimeout
		case err != nil:
			return f, err
		case s.ctx.Err() != nil:
			return f, s.why()
		case f.Type == wire.TypeHello:
			return f, nil
		case f.Known():
			return f, ErrHelloExpected.WithCause(fmt.Errorf("first frame is %q", f.Type))
		}
		s.counters.UnknownFrames.Add(1)
		if err := s.strike(); err != nil {
			return f, err
		}
	}
}

// attach attaches the socket to the inbox, if the user's gate admits it.
func (s *session) attach(cursor string) error {
	d := s.deps
	s.unwatch = d.Gates.Watch(s.uid, s.gateChanged) // before the gate is read, so that no change is missed
	// Subscribe before the script attaches, so that no event is missed between the two.
	var err error
	if s.feed, err = d.Inboxes.SubscribeFunc(s.ctx, s.uid, func() { s.wake(taskFeeder) }); err != nil {
		return err
	}
	attached, first, err := s.attachAdmitted(cursor)
	if err != nil {
		return err
	}
	s.window = d.Settler.Open(s.uid, attached)
	s.feeder = feeder{pos: attached.From, resumed: attached.Resumed, behind: true, first: &first}
	// Last, so that a hello that fails does not end another socket of the user.
	s.user.join(s, d.PerUser)
	s.in.userBytes = s.user.bytes
	if s.background {
		return nil
	}
	if err := d.Presence.Join(s.ctx, s.uid, s.looks); err != nil {
		s.log().Info("presence could not be updated for a new socket", "error", err)
	}
	return nil
}

// attachAdmitted checks the gate, and begins to read the inbox.
func (s *session) attachAdmitted(cursor string) (inbox.Attachment, inbox.Page, error) {
	d := s.deps
	changes := d.Gates.Changes()
	a, err := d.Inboxes.AttachAdmitted(s.ctx, s.uid, s.device, cursor, s.claims.AuthTime, readEvents)
	if err != nil {
		return inbox.Attachment{}, inbox.Page{}, err
	}
	g, err := d.Gates.Keep(s.uid, a.Gate, changes)
	readable := err == nil
	if !readable {
		if g, err = d.Gates.Get(s.ctx, s.uid); err != nil {
			return inbox.Attachment{}, inbox.Page{}, err
		}
	}
	if err := s.firstGate(g); err != nil {
		return inbox.Attachment{}, inbox.Page{}, err
	}
	if !readable {
		return d.Inboxes.AttachAndRead(s.ctx, s.uid, s.device, cursor, readEvents)
	}
	if !a.Admitted {
		return inbox.Attachment{}, inbox.Page{}, fmt.Errorf("attach: the script refused what the gate of %s admits", s.uid)
	}
	return a.Attachment, a.First, nil
}

// firstGate is setGate for the gate of the hello, which does not replace one that gateChanged has set meanwhile.
func (s *session) firstGate(g gate.Gate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateSet {
		g = s.gate
	}
	return s.storeGate(g)
}

// gateChanged ends the socket if the user's changed gate no longer admits it.
func (s *session) gateChanged(g gate.Gate) {
	if err := s.setGate(g); err != nil {
		s.end(err)
	}
}

// setGate stores the user's gate, and returns an error if it does not admit the socket.
func (s *session) setGate(g gate.Gate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeGate(g)
}

// storeGate is setGate. mu is held.
func (s *session) storeGate(g gate.Gate) error {
	s.gate, s.gateSet = g, true
	if s.watcher != nil {
		s.watcher.SetBlocked(g.Blocked)
	}
	return g.Admit(s.claims.AuthTime)
}

// standing says to how many new people the user may write now.
func (s *session) standing() inbox.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case time.Now().Before(s.gate.LimitedUntil):
		return inbox.Confined
	case s.gate.Unverified:
		return inbox.Unverified
	}
	return inbox.Verified
}

// limits returns the limits that the welcome announces to the user.
func (s *session) limits() wire.Limits {
	l := s.deps.Announced
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate.Unverified {
		l.NewPeople = s.deps.NewPeopleUnverified
	}
	return l
}

// privacy returns the user's privacy.
func (s *session) privacy() chat.Privacy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Privacy
}

// blocks reports whether the user has blocked uid.
func (s *session) blocks(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Blocks(uid)
}
