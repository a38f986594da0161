package useragent_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

func TestOf(t *testing.T) {
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) "
	for agent, want := range map[string]useragent.Client{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/140.0.0.0 Safari/537.36": {
			Browser: "Chrome", System: "Windows"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": {
			Browser: "Edge", System: "Windows"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0": {
			Browser: "Firefox", System: "Mac"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/18.6 Mobile/15E148 Safari/604.1": {Browser: "Safari", System: "iPhone"},
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": {
			Browser: "Samsung Internet", System: "Android"},
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + webkit + "Chrome/140.0.0.0 Safari/537.36 OPR/122.0": {
			Browser: "Opera", System: "ChromeOS"},
		"Mozilla/5.0 (X11; Linux x86_64) " + webkit + "HeadlessChrome/140.0.0.0 Safari/537.36": {
			Browser: "Chrome", System: "Linux"},
		"curl/8.5.0":                 {},
		"":                           {},
		"<script>alert(1)</script>":  {},
		strings.Repeat("Zzz/", 5000): {},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("User-Agent", agent)
		r.Header.Set("X-Place", "Elsewhere") // not the header of a load balancer
		if got := useragent.Of(r, ""); got != want || !got.Valid() {
			t.Errorf("%.80q: %+v, want %+v", agent, got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	for sent, want := range map[string]string{
		"Zurich, CH": "Zurich, CH", ", CH": "CH", ", ": "", "São Paulo": "São Paulo",
		"a\x01b": "", "\xff": "", strings.Repeat("x", useragent.MaxPlace+1): "", "a\u202eb": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Add("X-Place", "sent by the client")
		r.Header.Add("X-Place", sent)
		if got := useragent.Of(r, "X-Place"); got.Place != want || !got.Valid() {
			t.Errorf("%.80q: place %q, want %q", sent, got.Place, want)
		}
	}
	for _, c := range []useragent.Client{{Browser: "Netscape"}, {System: "BeOS"}, {Place: "\n"}} {
		if c.Valid() {
			t.Errorf("%+v is valid", c)
		}
	}
}
