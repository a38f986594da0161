// Package useragent says which kind of device sends a request: the browser, the system, and a rough place if the load
// balancer supplies one. All of it is what a client claims. It helps people to recognize their own devices, and nothing
// is decided by it.
package useragent

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPlace limits a place, in bytes. Names of cities are shorter.
const MaxPlace = 80

// Client is the kind of a device. Each field may be empty.
type Client struct {
	Browser string `json:"browser,omitempty"` // one of the names below
	System  string `json:"system,omitempty"`  // likewise
	Place   string `json:"place,omitempty"`   // such as "Zurich, Switzerland"
}

// rule names the User-Agent that contains any of the marks.
type rule struct {
	name  string
	marks []string
}

// The first rule that fits counts: most browsers also claim to be those below them.
var (
	browsers = []rule{
		{"Edge", []string{"Edg/", "EdgA/", "EdgiOS/"}}, {"Opera", []string{"OPR/"}},
		{"Samsung Internet", []string{"SamsungBrowser/"}}, {"Firefox", []string{"Firefox/", "FxiOS/"}},
		{"Chrome", []string{"Chrome/", "CriOS/"}}, {"Safari", []string{"Safari/"}},
	}
	systems = []rule{
		{"iPhone", []string{"iPhone"}}, {"iPad", []string{"iPad"}}, {"Android", []string{"Android"}},
		{"Windows", []string{"Windows"}}, {"ChromeOS", []string{"CrOS"}}, {"Mac", []string{"Macintosh"}},
		{"Linux", []string{"Linux"}},
	}
)

// Of returns the kind of the device that sent r. placeHeader is the header in which the load balancer sends the place;
// "": there is none.
func Of(r *http.Request, placeHeader string) Client {
	c := Client{Browser: first(browsers, r.UserAgent()), System: first(systems, r.UserAgent())}
	if placeHeader == "" {
		return c
	}
	// A client may send the header, too. The load balancer then replaces it, or appends its own line.
	if lines := r.Header.Values(placeHeader); len(lines) > 0 {
		c.Place = strings.Trim(lines[len(lines)-1], " ,")
	}
	if !validPlace(c.Place) {
		c.Place = ""
	}
	return c
}

// Valid reports whether c may have come from Of.
func (c Client) Valid() bool {
	return known(browsers, c.Browser) && known(systems, c.System) && validPlace(c.Place)
}

func first(rules []rule, agent string) string {
	for _, r := range rules {
		for _, mark := range r.marks {
			if strings.Contains(agent, mark) {
				return r.name
			}
		}
	}
	return ""
}

func known(rules []rule, name string) bool {
	for _, r := range rules {
		if r.name == name {
			return true
		}
	}
	return name == ""
}

func validPlace(s string) bool {
	return len(s) <= MaxPlace && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
