package store

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // the image has no time zones

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of Quiet.
const (
	dayMinutes = 24 * 60
	maxZone    = 64                   // bytes
	maxUntil   = 366 * 24 * time.Hour // from now
)

// Quiet says when a device does not want notifications. The zero value is never.
type Quiet struct {
	// From and To are minutes of the day in Zone. It is quiet from From until To on every day, across midnight if To is
	// less. If they are equal, it is not.
	From int `json:"from"`
	To   int `json:"to"`
	// Zone is the name of a time zone of the IANA, such as "Europe/Berlin". Empty: UTC.
	Zone string `json:"zone"`
	// Until is a time until which it is quiet as well.
	Until chat.Micros `json:"until"`
}

// Check returns an error unless q is one that Now can answer for.
func (q Quiet) Check(now chat.Micros) error {
	switch {
	case q.From < 0 || q.From >= dayMinutes || q.To < 0 || q.To >= dayMinutes:
		return fmt.Errorf("quiet from %d to %d, not minutes of a day", q.From, q.To)
	case q.Until < 0 || q.Until > now+chat.Micros(maxUntil.Microseconds()):
		return fmt.Errorf("quiet until %d, %s is the longest", q.Until, maxUntil)
	case len(q.Zone) > maxZone || q.Zone == "Local": // "Local" would be that of the server
		return errors.New("not the name of a time zone")
	}
	_, err := time.LoadLocation(q.Zone)
	return err
}

// Now reports whether q is quiet at a time. In a zone that is not known, only Until counts.
func (q Quiet) Now(now chat.Micros) bool {
	if now < q.Until {
		return true
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil || q.From == q.To {
		return false
	}
	hour, minute, _ := now.Time().In(zone).Clock()
	m := hour*60 + minute
	if q.From < q.To {
		return q.From <= m && m < q.To
	}
	return q.From <= m || m < q.To
}
