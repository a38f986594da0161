package design

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// retries are the codes of refused messages that carry a fixed time.
var retries = map[string]time.Duration{
	inbox.ErrInboxFull.Code:        inbox.ErrInboxFull.RetryAfter,
	inbox.ErrAnswerAwaited.Code:    inbox.ErrAnswerAwaited.RetryAfter,
	inbox.ErrTooManyNewPeople.Code: inbox.ErrTooManyNewPeople.RetryAfter,
	inbox.ErrOutboxFull.Code:       inbox.ErrOutboxFull.RetryAfter,
	problem.ErrUnavailable.Code:    problem.ErrUnavailable.RetryAfter,
	"internal":                     problem.ErrUnavailable.RetryAfter, // see package inbox, which makes it so
}

// TestLimits makes the phrases of the page from the limits of the code.
func TestLimits(t *testing.T) {
	number := func(dir, name string) int64 { return parse(t, dir).number(t, name) }
	every := func(unit time.Duration, dir, name string) int64 { return number(dir, name) / int64(unit) }
	secs := func(d time.Duration) int64 { return int64(d / time.Second) }
	const (
		inboxes, settling, gates, presences = "realtime/inbox", "realtime/settle", "realtime/gate", "realtime/presence"
		sessions, program, users            = "realtime/session", "realtime/cmd/realtime", "functions/users"
		engine, net, tabs                   = "web/src/model/engine/", "web/src/net/", "web/src/model/tabs/"
	)
	rates := session.Limits{}.WithDefaults()
	waiting := inbox.Limits{}.WithDefaults()
	rate := func(r session.Rate) string { return fmt.Sprintf("%v/s (burst %d)", r.PerSecond, r.Burst) }
	size := func(n float64) string {
		if n < 1<<20 {
			return fmt.Sprintf("%v KiB", n/(1<<10))
		}
		return fmt.Sprintf("%v MiB", n/(1<<20))
	}
	byteRate := func(r session.Rate) string {
		return fmt.Sprintf("%s/s (burst %s)", size(r.PerSecond), size(float64(r.Burst)))
	}
	day := 24 * time.Hour

	budgets := map[string]string{"read": "%s documents, and", "people": "(a setting) | %s | 1 h",
		"push":    "register a device for push | %s | 1 h",
		"profile": "the own names | %s | 1 h", "display-name": "case of the username | %s | 1 day",
		"report":      "reports | %s | 1 day",
		"export":      "exports | %s | 1 day",
		"export-read": "read by exports | %s | 1 min", "safety": "blocking, unblocking, signing out | %s | 1 min",
		"choose": "choosing settings | %s | 1 min", "sign-in": "new sign-ins | %s | 1 min",
		"leave": "leaving | %s | 1 min"}
	var httpLimits []string
	for _, b := range api.Budgets() {
		limit := b.Shared
		if b.Name == "people" {
			limit = api.DefaultPeopleListed
		}
		if phrase := budgets[b.Name]; phrase != "" {
			httpLimits = append(httpLimits, fmt.Sprintf(phrase, thousands(limit)))
		} else if b.Name != "ask-export" { // calls that are refused before they count as an export
			t.Errorf("the budget %s is not compared with the page", b.Name)
		}
	}

	for n, phrases := range map[int][]string{
		2: {
			fmt.Sprintf("no banner appears for gaps under %d s", browser(t, tabs+"status.ts", "QUIET_GAP_MS")/1000),
		},
		3: {
			fmt.Sprintf("1–%d of `A-Z", chat.MaxUID),
			fmt.Sprintf("| %d–%d of `A-Z", number(users, "MinUsername"), number(users, "MaxUsername")),
			fmt.Sprintf("more than %d s ahead", secs(chat.MaxAhead)),
			fmt.Sprintf("more than %d days old", chat.MaxAge/day),
			fmt.Sprintf("differ by more than %d min",
				browser(t, "web/src/model/chat/timeline.ts", "BACKDATED_MICROS")/60_000_000),
		},
		4: {
			"Sec-WebSocket-Protocol: " + wire.Subprotocol,
			fmt.Sprintf("at most %d KiB", chat.MaxFrameSize>>10),
			fmt.Sprintf("1–%s code points", thousands(chat.MaxBody)),
			fmt.Sprintf("`hello`, within %d s", secs(wire.HelloWithin)),
			fmt.Sprintf("`token` (≤ %d KiB)", wire.MaxToken>>10),
			fmt.Sprintf("`device` (1–%d bytes)", wire.MaxDevice),
			fmt.Sprintf("`cursor` (≤ %d bytes", wire.MaxCursor),
			fmt.Sprintf("`users` (≤ %d)", wire.MaxWatch),
			fmt.Sprintf("{id, at}]` (≤ %d)", wire.MaxDelivered),
			fmt.Sprintf("pings every %d s", secs(wire.PingEvery)),
			fmt.Sprintf("after %d s of silence", secs(wire.DropAfter)),
			fmt.Sprintf("outside 1…2^%d−1,", bits.Len64(uint64(number("realtime/wire", "maxAt")))),
			fmt.Sprintf("per user | %s, %s |", rate(rates.Sends), rate(rates.UserSends)),
			fmt.Sprintf("queue of %d messages and %d KiB (%d MiB of a user)", number(sessions, "queueSends"),
				number(sessions, "queueSendBytes")>>10, number(sessions, "userSendBytes")>>20),
			fmt.Sprintf("bytes per socket, per user | %s, %s |", byteRate(rates.Bytes), byteRate(rates.UserBytes)),
			fmt.Sprintf("fragments below %d KiB, per socket | %s |", number(sessions, "fairFragment")>>10, rate(rates.Overhead)),
			fmt.Sprintf("all of them | %d, %d s |", number(sessions, "maxFragments"),
				every(time.Second, sessions, "messageWithin")),
			fmt.Sprintf("unknown types per socket | %s |", rate(rates.Unknown)),
			fmt.Sprintf("`read` per user | %s |", rate(rates.UserReads)),
			fmt.Sprintf("in any frame | %.0f a minute (burst %d); a repetition within %d min is free",
				60*rates.UnknownUIDs.PerSecond, rates.UnknownUIDs.Burst, every(time.Minute, sessions, "missingFor")),
			fmt.Sprintf("people watched per user | %d in %d h |", number(sessions, "defaultWatched"),
				every(time.Hour, sessions, "watchedFor")),
			fmt.Sprintf("frames per socket | %s |", rate(rates.Frames)),
			fmt.Sprintf("`watch`, `looking` | %s, %s, %s |", rate(rates.Typing), rate(rates.Watches), rate(rates.Looking)),
			fmt.Sprintf("`going_away` when it is %d s old", secs(wire.BackgroundFor)),
			fmt.Sprintf("foreign frames) | %s |", rate(rates.Strikes)),
			fmt.Sprintf("events per socket | %d |", wire.MaxUnacked),
			fmt.Sprintf("sockets per user | %d, without", number(sessions, "PerUser")),
			fmt.Sprintf("from anywhere | %[1]d; %d, %d, a third of %[1]d |", number("realtime/server", "MaxSockets"),
				number(program, "greetingNear"), number(program, "greetingFar")),
			fmt.Sprintf("at most every %d ms", browser(t, net+"link.ts", "ACK_EVERY_MS")),
			fmt.Sprintf("drops the link after %d.", browser(t, net+"link.ts", "MAX_MALFORMED")),
			fmt.Sprintf("from %d min before the last known event", browser(t, engine+"backfiller.ts", "MARGIN")/60_000_000),
			fmt.Sprintf("at most %d conversations with unread", browser(t, engine+"backfiller.ts", "FIRST_CONVERSATIONS")),
			fmt.Sprintf("give up after %d days", browser(t, engine+"backfiller.ts", "FORGET_MS")/day.Milliseconds()),
			fmt.Sprintf("repeated after %d s, doubling to %d min", browser(t, engine+"marks.ts", "RESEND_MS")/1000,
				browser(t, engine+"marks.ts", "MAX_RESEND_MS")/60_000),
			fmt.Sprintf("(0–%d ms, doubling to %d s)", browser(t, net+"connection.ts", "FIRST_WAIT_MS"),
				browser(t, net+"connection.ts", "MAX_WAIT_MS")/1000),
			fmt.Sprintf("renewed %d–%d min before expiry", browser(t, net+"connection.ts", "RENEW_BEFORE_MS")/60_000,
				2*browser(t, net+"connection.ts", "RENEW_BEFORE_MS")/60_000),
			fmt.Sprintf("after %d s of silence and dropped %d s later", browser(t, net+"link.ts", "QUIET_MS")/1000,
				browser(t, net+"link.ts", "PONG_MS")/1000),
			fmt.Sprintf("the newest %d of a conversation", browser(t, "web/src/model/store/prune.ts", "KEEP")),
		},
		5: {
			fmt.Sprintf("hash, %d h (%d s if unknown)", every(time.Hour, gates, "Expire"), every(time.Second, gates, "Unknown")),
			fmt.Sprintf("sorted set, %d s", every(time.Second, presences, "Expire")),
			fmt.Sprintf("hash, %d s", every(time.Second, presences, "Expire")),
			fmt.Sprintf("renewed every %d s", every(time.Second, presences, "Renew")),
			fmt.Sprintf("offline %d s late", every(time.Second, presences, "Linger")),
			fmt.Sprintf("string, %d days", every(day, presences, "KeepSeen")),
			fmt.Sprintf("gives up after %d s", every(time.Second, inboxes, "Timeout")),
			fmt.Sprintf("%s messages and %d MiB of events wait, and from one sender %s and %d KiB",
				thousands(int64(waiting.Messages)), waiting.Bytes>>20, thousands(int64(waiting.PairMessages)),
				waiting.PairBytes>>10),
			fmt.Sprintf("has never written, %d and %d KiB", waiting.StrangerMessages, waiting.StrangerBytes>>10),
			fmt.Sprintf("%s messages and %d MiB of one sender wait", thousands(int64(waiting.SenderMessages)),
				waiting.SenderBytes>>20),
			fmt.Sprintf("at most %d new people a UTC day", waiting.NewPeople),
			fmt.Sprintf("or %d before the address is confirmed", waiting.NewPeopleUnverified),
			fmt.Sprintf("at most %s messages a minute", thousands(int64(waiting.SendsPerMinute))),
			fmt.Sprintf("message event has %d KiB", inbox.MaxEvent>>10),
			fmt.Sprintf("at most %d times a minute and instance", number(inboxes, "asksPerMinute")),
			fmt.Sprintf("hash, %d days | uid of another user", every(day, inboxes, "keepPeers")),
			fmt.Sprintf("hash, %d days | `<to>", every(day, inboxes, "keepOut")),
			fmt.Sprintf("up to %s records", thousands(number(inboxes, "MaxPeers"))),
			fmt.Sprintf("and of these at most %d MiB", number(inboxes, "KeepBytes")>>20),
			fmt.Sprintf("trimmed below %d MiB", number(inboxes, "KeepBytes")>>20),
			fmt.Sprintf("Every %d s each subscribed inbox", every(time.Second, inboxes, "Compare")),
			fmt.Sprintf("the probe every %d s", every(time.Second, inboxes, "Probe")),
			fmt.Sprintf("newest %d events and all of the last %d min (at most %s)", number(inboxes, "KeepEvents"),
				every(time.Minute, inboxes, "KeepFor"), thousands(number(inboxes, "KeepAtMost"))),
			fmt.Sprintf("expires %d h after its last use", every(time.Hour, inboxes, "Expire")),
			"Beyond " + thousands(number(inboxes, "MaxEntries")) + " entries",
			fmt.Sprintf("%d wakes or %d KiB per socket", number(inboxes, "maxWakes"), number(inboxes, "maxWakeBytes")>>10),
			fmt.Sprintf("window of %d unacknowledged", wire.MaxUnacked),
			fmt.Sprintf("wait for a client have at most %d KiB", number(sessions, "queueFrameBytes")>>10),
			fmt.Sprintf("%d ms after the first acknowledged message (%d s after nothing but receipts)",
				every(time.Millisecond, settling, "gather"), every(time.Second, settling, "gatherReceipts")),
			fmt.Sprintf("at once at %d entries or %d KiB", delivery.MaxMessages, delivery.MaxBytes>>10),
			fmt.Sprintf("with backoff, %d ms to %d s", every(time.Millisecond, settling, "minBackoff"),
				every(time.Second, settling, "maxBackoff")),
			fmt.Sprintf("settled, or after %d s,", every(time.Second, sessions, "settleWithin")),
			fmt.Sprintf("At most %s wait per instance, %d per socket", thousands(number(settling, "maxReadMarks")),
				number(sessions, "maxReadMarks")),
			fmt.Sprintf("caches gates for %d s", every(time.Second, gates, "Keep")),
			fmt.Sprintf("re-read every %d s", every(time.Second, gates, "Recheck")),
			fmt.Sprintf("(`resync`), spread over %d s", every(time.Second, sessions, "ResyncOver")),
		},
		6: {
			fmt.Sprintf("at most %s; a counter", thousands(store.MaxUnread)),
			fmt.Sprintf("(at most every %d s)", every(time.Second, "functions/persist", "erasedEvery")),
			fmt.Sprintf("more than %d min ahead", every(time.Minute, "functions/persist", "maxAhead")),
			fmt.Sprintf(`{"v": %d,`, delivery.Version),
		},
		7: {
			fmt.Sprintf("≤ %s uids", thousands(store.MaxBlocked)),
			fmt.Sprintf("held for %d days", store.NameHold/day),
			fmt.Sprintf("(TTL, %d days)", store.KeepReport/day),
			fmt.Sprintf("≤ %d copies of messages, the newest %d actions", store.MaxReportMessages, store.MaxReportActions),
			fmt.Sprintf("leased for %d s", every(time.Second, users, "lease")),
			fmt.Sprintf("≤ %d code points", store.MaxPreview),
			fmt.Sprintf("bytes, ≤ %d KiB", store.MaxDeadLetter>>10),
			fmt.Sprintf("%d h for past days and %d s for recent", every(time.Hour, "functions/api", "countOld"),
				every(time.Second, "functions/api", "countFresh")),
		},
		8: append(httpLimits,
			fmt.Sprintf("JSON in (≤ %d KiB)", number("functions/api", "maxBody")>>10),
			fmt.Sprintf("(≤ %s characters) and the own copies of at most %d messages", thousands(store.MaxReportComment),
				store.MaxReportMessages),
			fmt.Sprintf("%d KiB in all", number("functions/api", "maxReport")>>10),
			fmt.Sprintf("for 1 to %d days", number("functions/api", "maxLimitDays")),
			fmt.Sprintf("A call has %d s;", every(time.Second, "functions/api", "timeLimit")),
			fmt.Sprintf("have %d min.", every(time.Minute, "functions/api", "longTimeLimit")),
			fmt.Sprintf("which is paced, has %d min.", every(time.Minute, "functions/api", "exportTimeLimit")),
			fmt.Sprintf("or %d times as many per /24", number("functions/api", "farNetworks")),
			fmt.Sprintf("at most %d documents for a page", store.MaxScan),
			fmt.Sprintf("| changes of the username | %d | %d days |", store.MaxRenames, store.NameHold/day),
			fmt.Sprintf("and %d per call | %s |", api.CallUnits, "1 min"),
			fmt.Sprintf("beyond %d an hour per address", api.DefaultSignupsHourly),
			fmt.Sprintf("(%d attempts an hour and account, %d an hour and network)", api.RecoveriesPerHour,
				number("functions/api", "recoveriesHourly")),
			fmt.Sprintf("a sign-in of the last %d min", every(time.Minute, "functions/api", "freshSignIn")),
			"(at most "+thousands(number("functions/api", "maxReplay"))+")",
			fmt.Sprintf("or %d s have passed", every(time.Second, "realtime/server", "readyAfter")),
		),
		12: {
			fmt.Sprintf("conversation for %d s and publishes", secs(away.Gather)),
			fmt.Sprintf("per conversation and recipient in %d s", secs(away.Every)),
			fmt.Sprintf("events of at most %s conversations", thousands(away.Waiting)),
			fmt.Sprintf("could not publish within %d min", secs(away.Expire)/60),
			fmt.Sprintf("publishes at most %d events at once about the messages of one sender, and then one each %d s",
				away.SenderBurst, secs(away.SenderEvery)),
			fmt.Sprintf("not acknowledged within %d s", every(time.Second, sessions, "lateAfter")),
			fmt.Sprintf("queued up to %d min before", every(time.Minute, sessions, "lateSpan")),
		},
		9: {
			fmt.Sprintf("exit within %.1f s", float64(number(program, "endWithin"))/float64(time.Second)),
			// Sessions.Drain closes what is left after three quarters of its time.
			fmt.Sprintf("left after %.1f s", float64(number(program, "drainWithin"))*3/4/float64(time.Second)),
			fmt.Sprintf("socket is %d–55 min old", every(time.Minute, sessions, "AgeMin")),
		},
	} {
		text := flat(pageSection(t, n).text)
		for _, phrase := range phrases {
			if !strings.Contains(text, phrase) {
				t.Errorf("section %d of %s does not say %q, which is what the code has", n, pagePath, phrase)
			}
		}
	}
}
