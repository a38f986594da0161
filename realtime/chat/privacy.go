package chat

import (
	"encoding/json"
	"errors"
	"slices"
)

// Privacy is what a user shows to others, and who may write to them. The zero value is the default: everything to
// everybody. As JSON, it is a PrivacyForm.
type Privacy struct {
	LastSeen   Audience // who sees whether the user is online, when they were last seen, and that they type
	NoReceipts bool     // nobody sees what the user has read, and the user does not see what others have read
	OnlyKnown  bool     // only people whom the user has answered may write to them
	ByUsername bool     // the user is in no list, and is found only by the exact username
}

// Audience is a group of people.
type Audience int

// The audiences.
const (
	Everyone Audience = iota
	Chats             // people whom the user has answered: to whom they have written, or whose request they have accepted
	Nobody
)

// audiences are the names of the audiences.
var audiences = []string{Everyone: "everyone", Chats: "chats", Nobody: "nobody"}

// String returns the name of a.
func (a Audience) String() string { return audiences[a] }

// PrivacyForm is Privacy as it is sent and stored.
type PrivacyForm struct {
	LastSeen     string `json:"last_seen"`     // everyone, chats or nobody
	ReadReceipts bool   `json:"read_receipts"` // shown to others, and those of others to the user
	Writers      string `json:"writers"`       // everyone or known
	Findable     string `json:"findable"`      // everyone or username
}

// ErrPrivacyInvalid reports a PrivacyForm with an unknown value.
var ErrPrivacyInvalid = errors.New("the privacy has an unknown value")

// Form returns p as it is sent and stored.
func (p Privacy) Form() PrivacyForm {
	f := PrivacyForm{p.LastSeen.String(), !p.NoReceipts, "everyone", "everyone"}
	if p.OnlyKnown {
		f.Writers = "known"
	}
	if p.ByUsername {
		f.Findable = "username"
	}
	return f
}

// Privacy is the inverse of Privacy.Form. The error is ErrPrivacyInvalid.
func (f PrivacyForm) Privacy() (Privacy, error) {
	p := f.Known()
	if p.Form() != f {
		return Privacy{}, ErrPrivacyInvalid
	}
	return p, nil
}

// Known is Privacy for a form that a later version may have stored. In place of a value that this version does not
// know, the most private one counts, because the user has chosen something else than the default.
func (f PrivacyForm) Known() Privacy {
	audience := Audience(slices.Index(audiences, f.LastSeen))
	if audience < 0 {
		audience = Nobody
	}
	return Privacy{LastSeen: audience, NoReceipts: !f.ReadReceipts, OnlyKnown: f.Writers != "everyone",
		ByUsername: f.Findable != "everyone"}
}

// MarshalJSON implements json.Marshaler.
func (p Privacy) MarshalJSON() ([]byte, error) { return json.Marshal(p.Form()) }

// UnmarshalJSON implements json.Unmarshaler.
func (p *Privacy) UnmarshalJSON(data []byte) error {
	var f PrivacyForm
	err := json.Unmarshal(data, &f)
	if err == nil {
		*p, err = f.Privacy()
	}
	return err
}
