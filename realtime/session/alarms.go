package session

import (
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// alarm is something that happens to a socket at a certain time.
type alarm int

// The alarms of a socket.
const (
	alarmPing   alarm = iota // the next ping is due
	alarmToken               // the token ends
	alarmRotate              // the socket is old enough to move
	alarmResync              // the client is asked to connect again, because of a new epoch
	alarmLeave               // the time that a goaway gave is over
	alarmSend                // the rate limits allow the next message
	alarmLists               // the worker may try the watch list and the read marks again
	alarmRead                // the feeder may read the stream again
	alarmLate                // a message should be acknowledged by now
	alarmCount
)

// alarms are all alarms of a socket. They share one timer, which runs in a goroutine of this socket when it fires, so
// that no socket waits for the write of another one. All fields are guarded by session.mu.
type alarms struct {
	timer   *time.Timer
	at      [alarmCount]time.Duration // since session.began; 0: not set
	next    time.Duration             // for which timer is set; 0: none
	stopped bool
}

// setAlarm sets an alarm to d from now, instead of an earlier setting.
func (s *session) setAlarm(a alarm, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setAlarmLocked(a, d)
}

// setAlarmLocked is setAlarm. mu is held.
func (s *session) setAlarmLocked(a alarm, d time.Duration) {
	now := time.Since(s.began)
	s.alarms.at[a] = max(now+d, 1)
	s.alarms.setTimer(now, s.ring)
}

// clearAlarmLocked takes back an alarm. mu is held.
func (s *session) clearAlarmLocked(a alarm) {
	s.alarms.at[a] = 0
	s.alarms.setTimer(time.Since(s.began), s.ring)
}

// isSet reports whether an alarm is set. session.mu is held.
func (as *alarms) isSet(a alarm) bool { return as.at[a] != 0 }

// setTimer sets the timer for the next alarm. session.mu is held.
func (as *alarms) setTimer(now time.Duration, ring func()) {
	var next time.Duration
	for _, at := range as.at {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if next == as.next || as.stopped {
		return
	}
	as.next = next
	switch {
	case as.timer == nil:
		as.timer = time.AfterFunc(next-now, ring)
	case next == 0:
		as.timer.Stop()
	default:
		as.timer.Reset(next - now)
	}
}

// stopAlarms ends all alarms.
func (s *session) stopAlarms() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarms.stopped = true
	if s.alarms.timer != nil {
		s.alarms.timer.Stop()
	}
}

// ring does what is due. The timer calls it.
func (s *session) ring() {
	defer s.endOnPanic("alarms")
	for a, due := range s.takeDue() {
		if !due {
			continue
		}
		switch alarm(a) {
		case alarmPing:
			s.pushControl(opPing, nil)
		case alarmToken:
			s.end(problem.ErrTokenEnded)
		case alarmRotate:
			s.goaway(wire.GoawayRotate, s.deps.GoawayWithin)
		case alarmResync:
			s.goaway(wire.GoawayResync, s.deps.GoawayWithin)
		case alarmLeave:
			s.end(ErrGoingAway)
		case alarmSend:
			s.wake(taskWorker)
		case alarmLists:
			s.queueLists(func() {})
		case alarmRead:
			s.retryRead.Store(true)
			s.wake(taskFeeder)
		case alarmLate:
			s.mu.Lock()
			s.lateDue = true
			s.mu.Unlock()
			s.wake(taskWorker)
		}
	}
}

// takeDue returns which alarms are due, and clears them. A ping is followed by the next one.
func (s *session) takeDue() (due [alarmCount]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.began)
	as := &s.alarms
	for a, at := range as.at {
		if at != 0 && at <= now {
			due[a], as.at[a] = true, 0
		}
	}
	if due[alarmPing] {
		as.at[alarmPing] = now + wire.PingEvery
	}
	as.next = 0
	as.setTimer(now, s.ring)
	return due
}
