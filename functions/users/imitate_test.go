package users

import (
	"strings"
	"testing"
)

// Names with which a stranger could pose as the operator are refused, as a username and as a display name.
func TestImitations(t *testing.T) {
	for _, name := range []string{
		"admin", "Admin", "ADMIN", "adm1n", "4dmin", "adrnin", "admln", "admin1", "admin2024", "1admin",
		"the.admin", "theadmin",
		"the_real_admin", "realadmin", "admin-team", "a.d.m.i.n", "ad-min", "admins", "xXadminXx", "sysadmin",
		"sys.admin",
		"SuperAdmin", "superuser", "administrator", "Administrator2", "adminbob", "bobadmin", "AdminBob", "bob.admin",
		"support", "support1", "supp0rt", "5upport", "phoenix.support", "support_anna", "annasupport", "sup-port",
		"tech-support", "helpdesk", "he1pdesk", "help-desk", "help", "moderator", "moderators", "rnoderator",
		"m0derator1",
		"mod", "mods", "staff", "staff1", "root", "r00t", "root66", "system", "5y5tem", "security", "official",
		"operator", "noreply", "no-reply", "no.reply", "do-not-reply", "deleted", "deleted-user", "anonymous",
		"anonymous1",
		"phoenix", "phoenixchat", "phoenix-chat", "phoenix.chat", "phoenix_chat", "Ph0enixChat", "phoenix.team",
		"webmaster",
		"postmaster", "administrador", "moderateur", "kundendienst",
	} {
		if checkUsername(name, false) == (fault{}) {
			t.Errorf("the username %q is accepted", name)
		}
		if _, msg := tidyName(name, false); msg == (fault{}) {
			t.Errorf("the display name %q is accepted", name)
		}
		if msg := checkUsername(name, true); msg != (fault{}) {
			t.Errorf("an operator cannot choose %q: %s", name, msg)
		}
	}
	for _, name := range []string{
		"System", "System message", "Phoenix Chat", "Phoenix Chat Support", "Phoenix  Chat", "Anna from Phoenix Chat",
		"Anna (Phoenix)", "Anna (Staff)", "[Mod] Anna", "Anna | Staff", "Staff: Anna", "Anna - Staff", "Anna • Team",
		"Support Anna", "Anna, Support", "A d m i n", "The A.d.m.i.n", "Ad.min Anna", "Ádmïn", "Аdmіn", "аdmіn", "ＡＤＭＩＮ",
		"ⓐⓓⓜⓘⓝ", "🅐🅓🅜🅘🅝", "🅰🅳🅼🅸🅽", "🇦 🇩 🇲 🇮 🇳", "𝓐𝓭𝓶𝓲𝓷", "⒜⒟⒨⒤⒩", "αdmin", "@dmin", "Adm!n", "Adm|n", "$upport",
		"ꓢupport",
		"Helpdesk", "Help Center", "Customer Service", "Deleted account", "Deleted user", "Anonymous", "Staff",
		"Official",
		"Rihanna Official", "Админ", "Поддержка", "管理员", "客服小王", "Die Kundenservice", "Security Team", "Team", "Root",
		"Verified", "Verified account", "Community Manager", "Chat server", "Phoenix Help Bot", "Support 24/7",
		"Mod Team",
		"PhoenixSupport", "Admin_Official", "Customer Care", "Adm_in_istrator", "Ph0en1x", "Chat-Team", "Live Support",
		"The Moderators", "Mode rator", "Sys Admin Anna", "No Reply", "NoReply", "Operator 7",
	} {
		if _, msg := tidyName(name, false); msg == (fault{}) {
			t.Errorf("the display name %q is accepted", name)
		}
	}
}

// True names, and words that contain a reserved one, are allowed.
func TestTrueNames(t *testing.T) {
	for _, name := range []string{
		"badminton", "Padminton", "adminton", "Padmini", "Padmin", "Administrova", "Staffan", "Falstaff",
		"Wagstaff", "Systema",
		"Roots", "Rootham", "Grassroots", "Supporter", "supportive", "unsupported", "Helper", "Helpmann", "Modest",
		"Modigliani",
		"Commodore", "Moderato", "Botticelli", "Botto", "Rootzen", "Operatic", "unofficial", "Beam", "teammate", "Steam",
		"Phoenixia", "anna.phoenix", "joaquin_phoenix", "jordan.root", "amanda-staff", "Ada", "Bob", "Al", "Amin",
		"Armin",
		"Yasmin", "Jasmin1", "Ramin", "Burn", "Mo", "Theodor", "Rosamund", "Infante", "Legrand", "Ellison",
		"user1", "alice2",
		"eve42", "Lloyd", "Maxx", "Systermans", "Anonyma", "Chat", "Chatterjee", "Messerschmidt", "Ownerby", "test-user",
	} {
		if len(name) >= MinUsername {
			if msg := checkUsername(name, false); msg != (fault{}) {
				t.Errorf("the username %q is refused: %s", name, msg)
			}
		}
		if _, msg := tidyName(name, false); msg != (fault{}) {
			t.Errorf("the display name %q is refused: %s", name, msg)
		}
	}
	for _, name := range []string{
		"Joaquin Phoenix", "Phoenix Jones", "Alde", "Agent Smith", "Securitas", "Tina Teamer", "Rosa Info",
		"Amanda Staff", "Jordan Root", "Dr. Root", "Ben Help", "Team Ada", "Jennifer Null",
		"Nobody Knows", "Ada Lovelace", "O'Brien", "Jean-Luc Picard", "محمد", "李小龙", "Иван Петров", "Αθηνά", "김민준",
		"नरेंद्र", "👩🏽\u200d🔬 Ada", "❤\ufe0f\u200d🔥 Eve", "Ada 1\ufe0f\u20e3", "🇫🇷 Marie", "⭐ Ada", "Mr. Bean",
		"R2-D2", "Sam & Max",
		"می\u200cخواهم", "<b>Robert'); DROP TABLE</b>", "Ada Lovelace (she/her)", "Zoë – Ünal", "Anna@work", "!Ada!",
	} {
		if _, msg := tidyName(name, false); msg != (fault{}) {
			t.Errorf("the display name %q is refused: %s", name, msg)
		}
	}
}

// Names that show nothing, contain invisible characters, or carry a badge are refused.
func TestHiddenCharacters(t *testing.T) {
	for _, name := range []string{
		"\u034f", "\ufe0f\ufe0f", "\u200b", "\u2060\u2060", "\u00ad", "\u180e", "\u0301\u0302", "\u17b4",
		"\U000e0061", "\u115f",
		"Ada\u034f", "Ada\ufe0f", "A\u200dda", "Ada\u200d", "\u200dAda", "A\u200cda", "Ada\u200b", "Ada\u2063",
		"Ada\U000e0061\U000e007f",
		"🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "Ada\U000e0100", "Ada\u3164", "Ada\u2800",
		"Ada\U0001d159", "a\u202eb", "a\u2066b", "a\x00b", "a\ufffab", "Ada\ue000", "Ada\ufdd0", "Ada\uffa0",
		"👩\u200d", "Ada \u200d🔬", "Ada ✓",
		"Ada ✔", "Ada ✔\ufe0f", "Ada ✅", "Ada ☑", "Ada 🛡", "Ada 🛡\ufe0f", "🔰 Ada", "Ada √", "👑 Ada",
	} {
		if tidy, msg := tidyName(name, false); msg == (fault{}) {
			t.Errorf("%+q is accepted as %+q", name, tidy)
		}
		if tidy, msg := tidyName(name, true); msg == (fault{}) {
			t.Errorf("%+q is accepted from an operator as %+q", name, tidy)
		}
	}
}

// The check does not depend on the length of the name in a way that a caller could use.
func TestLongNames(t *testing.T) {
	for _, name := range []string{strings.Repeat("admin", 10), strings.Repeat("the", 16), strings.Repeat("x", 50)} {
		_, _ = tidyName(name, false)
	}
	if !imitates(strings.Repeat("the", 14) + "admin") {
		t.Error("a long imitation is accepted")
	}
}
