package api_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// setting returns a setting that is chosen now.
func (s *system) setting(conversation string, kind chat.SettingKind, value chat.Micros) chat.Setting {
	return chat.Setting{Conversation: conversation, Kind: kind, Choice: chat.Choice{Value: value,
		At: chat.MicrosOf(s.clock.Now()), ID: uuid.Must(uuid.NewV7()).String()}}
}

// listedSettings returns the settings of each conversation in a list.
func (s *system) listedSettings(path, who string) map[string]store.Settings {
	s.t.Helper()
	var page struct {
		Conversations []struct {
			ID       string
			Settings store.Settings
		}
	}
	s.call("GET", path, s.token(who), nil).must(200, &page)
	found := map[string]store.Settings{}
	for _, c := range page.Conversations {
		found[c.ID] = c.Settings
	}
	return found
}

func TestSettings(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.user(n)
	}
	s.save("ada", "bob", "to bob")
	third := s.save("cyd", "ada", "from cyd")[0]
	mute := s.setting("ada~bob", chat.SettingMute, chat.MutedAlways)
	pin := s.setting("ada~cyd", chat.SettingPin, 1)
	star := s.setting("ada~cyd", chat.SettingStar, 1)
	star.Message = third.Key()
	for _, set := range []chat.Setting{mute, pin, star} {
		var counts chat.Choice
		s.call("PUT", "/me/setting", s.token("ada"), set).must(200, &counts)
		if counts != set.Choice {
			t.Errorf("%s: %+v counts", set.Kind, counts)
		}
	}
	old := mute
	old.At, old.Value = mute.At-1, 0
	var counts chat.Choice
	s.call("PUT", "/me/setting", s.token("ada"), old).must(200, &counts)
	if counts != mute.Choice {
		t.Errorf("after an older choice, %+v counts", counts)
	}
	sent := s.realtime.settings
	if len(sent) != 4 || sent[0] != (internalapi.Setting{UID: "ada", Setting: mute}) || sent[3] != sent[0] {
		t.Errorf("devices were sent %+v", sent)
	}
	all := map[string]store.Settings{"ada~bob": {chat.SettingMute: mute.Choice}, "ada~cyd": {chat.SettingPin: pin.Choice}}
	if got := s.listedSettings("/conversations", "ada"); !reflect.DeepEqual(got, all) {
		t.Errorf("the list has %+v", got)
	}
	delete(all, "ada~bob")
	if got := s.listedSettings("/conversations?pinned=true", "ada"); !reflect.DeepEqual(got, all) {
		t.Errorf("the list of pinned conversations has %+v", got)
	}
	if got := s.listedSettings("/conversations", "cyd"); len(got) != 1 || got["ada~cyd"] != nil {
		t.Errorf("the other member sees %+v", got)
	}
	settings := func(who string) (list struct {
		Conversations map[string]store.Settings
		Stars         []map[string]any
	}) {
		s.call("GET", "/me/settings", s.token(who), nil).must(200, &list)
		return list
	}
	all["ada~bob"] = store.Settings{chat.SettingMute: mute.Choice}
	if got := settings("ada"); len(got.Stars) != 1 || got.Stars[0]["message"] != third.Key() ||
		got.Stars[0]["conversation"] != "ada~cyd" || !reflect.DeepEqual(got.Conversations, all) {
		t.Errorf("settings: %+v", got)
	}
	if got := settings("cyd"); len(got.Stars) != 0 || len(got.Conversations) != 0 || got.Conversations == nil {
		t.Errorf("settings of another user: %+v", got)
	}
	var export struct {
		Stars         []map[string]any
		Conversations []struct {
			Conversation struct{ Settings store.Settings }
		}
	}
	s.call("GET", "/me/export", s.token("ada"), nil).must(200, &export)
	if len(export.Stars) != 1 || len(export.Conversations) != 2 ||
		export.Conversations[0].Conversation.Settings == nil || export.Conversations[1].Conversation.Settings == nil {
		t.Errorf("the export has %+v", export)
	}
	// An admin does not see them.
	_, root := s.admin("root")
	var seen struct{ Conversations []map[string]any }
	s.call("POST", "/admin/users/ada/conversations", root, form{"reason": "a report"}).must(200, &seen)
	if len(seen.Conversations) != 2 || seen.Conversations[0]["settings"] != nil ||
		seen.Conversations[1]["settings"] != nil {
		t.Errorf("an admin sees %+v", seen)
	}
}

func TestBadSettings(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("bob")
	for name, c := range map[string]struct {
		change func(*chat.Setting)
		status int
		code   string
	}{
		"a conversation of others": {func(x *chat.Setting) { x.Conversation = "bob~cyd" }, 403, "forbidden"},
		"no conversation":          {func(x *chat.Setting) { x.Conversation = "ada" }, 422, "conversation_invalid"},
		"an unknown kind":          {func(x *chat.Setting) { x.Kind = "color" }, 422, "setting_invalid"},
		"half on":                  {func(x *chat.Setting) { x.Value = 2 }, 422, "setting_invalid"},
		"less than off":            {func(x *chat.Setting) { x.Value = -1 }, 422, "setting_invalid"},
		"no id":                    {func(x *chat.Setting) { x.ID = "" }, 422, "id_invalid"},
		"no time":                  {func(x *chat.Setting) { x.At = 0 }, 422, "setting_invalid"},
		"a time far ahead": {func(x *chat.Setting) { x.At += chat.Micros(time.Hour.Microseconds()) }, 422,
			"at_ahead"},
		"a message that is pinned": {func(x *chat.Setting) { x.Message = x.ID + ".bob" }, 422, "setting_invalid"},
		"a star without a message": {func(x *chat.Setting) { x.Kind = chat.SettingStar }, 422, "setting_invalid"},
		"an acceptance that is off": {func(x *chat.Setting) { x.Kind, x.Value = chat.SettingAccept, 0 }, 422,
			"setting_invalid"},
		"an acceptance until a time": {func(x *chat.Setting) { x.Kind, x.Value = chat.SettingAccept, x.At }, 422,
			"setting_invalid"},
		"an acceptance of a message": {func(x *chat.Setting) {
			x.Kind, x.Message = chat.SettingAccept, x.ID+".bob"
		}, 422, "setting_invalid"},
		"an acceptance of the conversation of others": {func(x *chat.Setting) {
			x.Kind, x.Conversation = chat.SettingAccept, "bob~cyd"
		}, 403, "forbidden"},
		"a removal of what may come": {func(x *chat.Setting) {
			x.Kind, x.Value = chat.SettingRemove, x.At+chat.Micros(time.Minute.Microseconds())
		}, 422, "setting_invalid"},
		"a removal of less than nothing": {func(x *chat.Setting) { x.Kind, x.Value = chat.SettingRemove, -1 }, 422,
			"setting_invalid"},
		"a star for a message of others": {func(x *chat.Setting) {
			x.Kind, x.Message = chat.SettingStar, x.ID+".cyd"
		}, 422, "setting_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			set := s.setting("ada~bob", chat.SettingPin, 1)
			c.change(&set)
			s.call("PUT", "/me/setting", s.token("ada"), set).refused(c.status, c.code)
		})
	}
	if len(s.realtime.settings) != 0 {
		t.Errorf("devices were sent %+v", s.realtime.settings)
	}
	s.t = t
	// The setting is stored, but the devices may not know of it.
	s.realtime.failWith(problem.ErrUnavailable)
	set := s.setting("ada~bob", chat.SettingArchive, 1)
	s.call("PUT", "/me/setting", s.token("ada"), set).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.call("PUT", "/me/setting", s.token("ada"), set).must(200, nil)
	if n := len(s.realtime.settings); n != 2 {
		t.Errorf("sent %d times", n)
	}
}
