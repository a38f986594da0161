package authstub

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"firebase.google.com/go/v4/auth"
	"google.golang.org/api/iterator"
)

// TestConformance tests the parts of Firebase Auth that the chat uses. It always runs against the stand-in, and also
// against the official emulator if PHOENIX_TEST_AUTH_EMULATOR has its host:port. The emulator must have been started
// with --project demo-chat.
func TestConformance(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) { conformance(t, start(t, dbPath(t), time.Now).url) })
	t.Run("emulator", func(t *testing.T) {
		host := os.Getenv("PHOENIX_TEST_AUTH_EMULATOR")
		if host == "" {
			t.Skip("PHOENIX_TEST_AUTH_EMULATOR is not set: no official Auth emulator to compare with")
		}
		hideAccounts(t, "http://"+host)
		conformance(t, "http://"+host)
	})
}

// hideAccounts turns on the emulator's e-mail enumeration protection, which production and the stand-in always have:
// answers do not reveal whether an address has an account.
func hideAccounts(t *testing.T, host string) {
	t.Helper()
	path := "/identitytoolkit.googleapis.com/v2/projects/" + testProject + "/config?updateMask=emailPrivacyConfig"
	req, err := jsonRequest(host+path,
		m{"emailPrivacyConfig": m{"enableImprovedEmailPrivacy": true}})
	if err != nil {
		t.Fatal(err)
	}
	req.Method = http.MethodPatch
	req.Header.Set("Authorization", "Bearer owner")
	must(answerOf(http.DefaultClient.Do(req)))(t)
}

func conformance(t *testing.T, host string) {
	admin, b, ctx := sdk(t, host), browser{host}, t.Context()
	n := 0
	// newAccount creates an account with a unique address.
	newAccount := func(t *testing.T) (uid, email string) {
		t.Helper()
		n++
		email = fmt.Sprintf("p%d-%d@example.com", time.Now().UnixNano(), n)
		u := must(admin.CreateUser(ctx,
			(&auth.UserToCreate{}).Email(email).Password("correct horse").DisplayName("Pat")))(t)
		return u.UID, email
	}

	t.Run("create and get", func(t *testing.T) {
		uid, email := newAccount(t)
		for _, u := range []*auth.UserRecord{must(admin.GetUser(ctx, uid))(t), must(admin.GetUserByEmail(ctx, email))(t)} {
			if u.UID != uid || u.Email != email || u.DisplayName != "Pat" || u.Disabled || u.EmailVerified ||
				u.UserMetadata.CreationTimestamp == 0 || u.TokensValidAfterMillis == 0 {
				t.Errorf("record %+v %+v", u.UserInfo, u)
			}
		}
		_, err := admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email).Password("correct horse"))
		if !auth.IsEmailAlreadyExists(err) {
			t.Errorf("the same address again: %v", err)
		}
		_, err = admin.CreateUser(ctx, (&auth.UserToCreate{}).UID(uid))
		if !auth.IsUIDAlreadyExists(err) {
			t.Errorf("the same uid again: %v", err)
		}
		if _, err := admin.GetUser(ctx, "nobody"); !auth.IsUserNotFound(err) {
			t.Errorf("an unknown uid: %v", err)
		}
		if _, err := admin.GetUserByEmail(ctx, "nobody@example.com"); !auth.IsUserNotFound(err) {
			t.Errorf("an unknown address: %v", err)
		}
		got := must(admin.GetUsers(ctx,
			[]auth.UserIdentifier{auth.UIDIdentifier{UID: uid}, auth.UIDIdentifier{UID: "nobody"}}))(t)
		if len(got.Users) != 1 || len(got.NotFound) != 1 {
			t.Errorf("several uids: %d found, %d not found, want one each", len(got.Users), len(got.NotFound))
		}
	})

	t.Run("sign in", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		if in["localId"] != uid || in["expiresIn"] != "3600" {
			t.Errorf("answer %v", in)
		}
		token := must(admin.VerifyIDToken(ctx, in["idToken"].(string)))(t)
		if token.UID != uid || token.Claims["email"] != email || token.Claims["name"] != "Pat" ||
			token.Firebase.SignInProvider != "password" || token.AuthTime == 0 || token.Expires-token.IssuedAt != 3600 {
			t.Errorf("token %+v", token)
		}
		users := must(b.call("lookup", m{"idToken": in["idToken"]}))(t)["users"].([]any)
		own := users[0].(m)
		if own["localId"] != uid || own["email"] != email ||
			own["providerUserInfo"].([]any)[0].(m)["providerId"] != "password" {
			t.Errorf("own account %v", own)
		}
		_, err := b.signIn(email, "wrong")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		_, err = b.signIn("nobody@example.com", "wrong")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		_, err = b.signIn("no address", "wrong")
		wantError(t, err, "INVALID_EMAIL")
		_, err = b.signIn(email, "")
		wantError(t, err, "MISSING_PASSWORD")
		_, err = b.call("lookup", m{"idToken": "x.y.z"})
		wantError(t, err, "INVALID_ID_TOKEN")
	})

	t.Run("addresses in any case", func(t *testing.T) {
		n++
		email := fmt.Sprintf("Mixed.%d.%d@Example.com", time.Now().UnixNano(), n)
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email).Password("correct horse")))(t)
		must(b.signIn(email, "correct horse"))(t)
		must(admin.GetUserByEmail(ctx, email))(t)
	})

	t.Run("refresh", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		if err := admin.SetCustomUserClaims(ctx, uid, m{"admin": true}); err != nil {
			t.Fatal(err)
		}
		out := must(b.refresh(in["refreshToken"]))(t)
		token := must(admin.VerifyIDToken(ctx, out["id_token"].(string)))(t)
		if out["access_token"] != out["id_token"] || out["user_id"] != uid || out["refresh_token"] == "" ||
			token.Claims["admin"] != true {
			t.Errorf("refreshed %v, claims %v", out, token.Claims)
		}
		_, err := b.refresh("no token")
		wantError(t, err, "INVALID_REFRESH_TOKEN")
	})

	t.Run("disable and enable", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		must(admin.UpdateUser(ctx, uid, (&auth.UserToUpdate{}).Disabled(true)))(t)
		_, err := b.signIn(email, "correct horse")
		wantError(t, err, "USER_DISABLED")
		_, err = b.refresh(in["refreshToken"])
		wantError(t, err, "USER_DISABLED")
		_, err = b.call("lookup", m{"idToken": in["idToken"]})
		wantError(t, err, "USER_DISABLED")
		if _, err := admin.VerifyIDToken(ctx, in["idToken"].(string)); !auth.IsUserDisabled(err) {
			t.Errorf("verified: %v", err)
		}
		must(admin.UpdateUser(ctx, uid, (&auth.UserToUpdate{}).Disabled(false)))(t)
		must(b.signIn(email, "correct horse"))(t)
	})

	t.Run("delete", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		if err := admin.DeleteUser(ctx, uid); err != nil {
			t.Fatal(err)
		}
		_, err := b.signIn(email, "correct horse")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		_, err = b.call("lookup", m{"idToken": in["idToken"]})
		wantError(t, err, "USER_NOT_FOUND")
		if err := admin.DeleteUser(ctx, uid); !auth.IsUserNotFound(err) {
			t.Errorf("again: %v", err)
		}
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email)))(t) // the address is free again
		other, _ := newAccount(t)
		res := must(admin.DeleteUsers(ctx, []string{other, "nobody"}))(t)
		if res.FailureCount != 0 {
			t.Errorf("several uids: %+v", res)
		}
		if _, err := admin.GetUser(ctx, other); !auth.IsUserNotFound(err) {
			t.Errorf("after deleting several: %v", err)
		}
	})

	t.Run("change", func(t *testing.T) {
		uid, email := newAccount(t)
		_, taken := newAccount(t)
		changes := (&auth.UserToUpdate{}).DisplayName("").Email("x" + email).EmailVerified(true).Password("battery staple")
		u := must(admin.UpdateUser(ctx, uid, changes))(t)
		if u.DisplayName != "" || u.Email != "x"+email || !u.EmailVerified {
			t.Errorf("changed: %+v", u.UserInfo)
		}
		_, err := b.signIn(email, "battery staple")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		must(b.signIn("x"+email, "battery staple"))(t)
		if _, err = admin.UpdateUser(ctx, uid, (&auth.UserToUpdate{}).Email(taken)); !auth.IsEmailAlreadyExists(err) {
			t.Errorf("a taken address: %v", err)
		}
		if _, err = admin.UpdateUser(ctx, "nobody", (&auth.UserToUpdate{}).Disabled(true)); !auth.IsUserNotFound(err) {
			t.Errorf("an unknown uid: %v", err)
		}
	})

	t.Run("claims", func(t *testing.T) {
		uid, email := newAccount(t)
		if err := admin.SetCustomUserClaims(ctx, uid, m{"admin": true}); err != nil {
			t.Fatal(err)
		}
		if got := must(admin.GetUser(ctx, uid))(t).CustomClaims; !maps.Equal(got, m{"admin": true}) {
			t.Errorf("claims %v", got)
		}
		if err := admin.SetCustomUserClaims(ctx, uid, nil); err != nil {
			t.Fatal(err)
		}
		in := must(b.signIn(email, "correct horse"))(t)
		token := must(admin.VerifyIDToken(ctx, in["idToken"].(string)))(t)
		if _, ok := token.Claims["admin"]; ok {
			t.Error("the token has a claim that was removed")
		}
	})

	t.Run("revoke", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		// Both compare whole seconds. Revoking as of two seconds in the future saves waiting for the next second.
		future := fmt.Sprint(time.Now().Add(2 * time.Second).Unix())
		must(callAsOwner(host, "accounts:update", m{"localId": uid, "validSince": future}))(t)
		if _, err := admin.VerifyIDTokenAndCheckRevoked(ctx, in["idToken"].(string)); !auth.IsIDTokenRevoked(err) {
			t.Errorf("verified: %v", err)
		}
		_, err := b.call("lookup", m{"idToken": in["idToken"]})
		wantError(t, err, "TOKEN_EXPIRED")
		if err := admin.RevokeRefreshTokens(ctx, uid); err != nil {
			t.Fatal(err)
		}
		after := time.UnixMilli(must(admin.GetUser(ctx, uid))(t).TokensValidAfterMillis)
		if time.Since(after).Abs() > 5*time.Second {
			t.Errorf("valid since %v", after)
		}
	})

	t.Run("own password", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		_, err := b.call("update", m{"idToken": in["idToken"], "password": "tiny"})
		wantError(t, err, "WEAK_PASSWORD")
		out := must(b.call("update",
			m{"idToken": in["idToken"], "password": "battery staple", "returnSecureToken": true}))(t)
		if token := must(admin.VerifyIDToken(ctx, out["idToken"].(string)))(t); token.UID != uid {
			t.Errorf("token of %s", token.UID)
		}
		must(b.refresh(out["refreshToken"]))(t)
		_, err = b.signIn(email, "correct horse")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		must(b.signIn(email, "battery staple"))(t)
	})

	t.Run("forgotten password", func(t *testing.T) {
		_, email := newAccount(t)
		must(b.call("sendOobCode", m{"requestType": "PASSWORD_RESET", "email": "nobody@example.com"}))(t)
		must(b.call("sendOobCode", m{"requestType": "PASSWORD_RESET", "email": email}))(t)
		list := must(answerOf(http.Get(host + "/emulator/v1/projects/" + testProject + "/oobCodes")))(t)["oobCodes"].([]any)
		i := slices.IndexFunc(list, func(c any) bool { return c.(m)["email"] == email })
		if i < 0 {
			t.Fatalf("no code for %s in %v", email, list)
		}
		code := list[i].(m)["oobCode"]
		if got := must(b.call("resetPassword", m{"oobCode": code}))(t)["email"]; got != email {
			t.Errorf("the code belongs to %v, want %s", got, email)
		}
		_, err := b.call("resetPassword", m{"oobCode": code, "newPassword": "tiny"})
		wantError(t, err, "WEAK_PASSWORD")
		must(b.call("resetPassword", m{"oobCode": code, "newPassword": "battery staple"}))(t)
		_, err = b.call("resetPassword", m{"oobCode": code, "newPassword": "once more"})
		wantError(t, err, "INVALID_OOB_CODE")
		must(b.signIn(email, "battery staple"))(t)

		link := must(admin.PasswordResetLink(ctx, email))(t)
		if link == "" {
			t.Error("no link")
		}
		if link := must(admin.PasswordResetLink(ctx, "nobody@example.com"))(t); link != "" {
			t.Errorf("link for an unknown address: %s", link)
		}
	})

	// code returns the newest code that was mailed for a request.
	code := func(t *testing.T, email, requestType string) m {
		t.Helper()
		list := must(answerOf(http.Get(host + "/emulator/v1/projects/" + testProject + "/oobCodes")))(t)["oobCodes"].([]any)
		for _, c := range slices.Backward(list) {
			if c := c.(m); c["email"] == email && c["requestType"] == requestType {
				return c
			}
		}
		t.Fatalf("no %s for %s in %v", requestType, email, list)
		return nil
	}

	t.Run("codes are listed oldest first", func(t *testing.T) {
		_, email := newAccount(t)
		var seen []any
		for range 5 {
			must(b.call("sendOobCode", m{"requestType": "PASSWORD_RESET", "email": email}))(t)
			newest := code(t, email, "PASSWORD_RESET")["oobCode"]
			if slices.Contains(seen, newest) {
				t.Fatal("the newest code is not the last in the list")
			}
			seen = append(seen, newest)
		}
	})

	t.Run("verify the address", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		_, err := b.call("sendOobCode", m{"requestType": "VERIFY_EMAIL", "idToken": "x.y.z"})
		wantError(t, err, "INVALID_ID_TOKEN")
		sent := must(b.call("sendOobCode", m{"requestType": "VERIFY_EMAIL", "idToken": in["idToken"]}))(t)
		if sent["email"] != email {
			t.Errorf("answer %v", sent)
		}
		id := code(t, email, "VERIFY_EMAIL")["oobCode"]
		info := must(b.call("resetPassword", m{"oobCode": id}))(t)
		if info["email"] != email || info["requestType"] != "VERIFY_EMAIL" {
			t.Errorf("the code is for %v", info)
		}
		_, err = b.call("resetPassword", m{"oobCode": id, "newPassword": "battery staple"})
		wantError(t, err, "INVALID_OOB_CODE")
		out := must(b.call("update", m{"oobCode": id}))(t)
		if out["localId"] != uid || out["emailVerified"] != true {
			t.Errorf("answer %v", out)
		}
		if u := must(admin.GetUser(ctx, uid))(t); !u.EmailVerified {
			t.Error("the address is not verified")
		}
		_, err = b.call("update", m{"oobCode": id})
		wantError(t, err, "INVALID_OOB_CODE")
		must(b.refresh(in["refreshToken"]))(t) // verifying does not end the sign-in
		if link := must(admin.EmailVerificationLink(ctx, email))(t); link == "" {
			t.Error("no link")
		}
		if _, err := admin.EmailVerificationLink(ctx, "nobody@example.com"); err == nil {
			t.Error("a link for an unknown address")
		}
	})

	t.Run("verify and change the address", func(t *testing.T) {
		uid, email := newAccount(t)
		fresh := "new." + email
		in := must(b.signIn(email, "correct horse"))(t)
		request := m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"]}
		_, err := b.call("sendOobCode", request)
		wantError(t, err, "MISSING_NEW_EMAIL")
		request["newEmail"] = strings.ToUpper(fresh)
		must(b.call("sendOobCode", request))(t)
		if u := must(admin.GetUser(ctx, uid))(t); u.Email != email {
			t.Errorf("before the code is used, the address is %s", u.Email)
		}
		c := code(t, email, "VERIFY_AND_CHANGE_EMAIL")
		info := must(b.call("resetPassword", m{"oobCode": c["oobCode"]}))(t)
		if info["email"] != email || info["newEmail"] != fresh {
			t.Errorf("the code is for %v", info)
		}
		out := must(b.call("update", m{"oobCode": c["oobCode"]}))(t)
		u := must(admin.GetUser(ctx, uid))(t)
		if out["email"] != fresh || u.Email != fresh || !u.EmailVerified {
			t.Errorf("answer %v, account %+v", out, u.UserInfo)
		}
		_, err = b.signIn(email, "correct horse")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		must(b.signIn(fresh, "correct horse"))(t)
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email)))(t) // the old address is free
	})

	t.Run("codes after a change of the address", func(t *testing.T) {
		_, email := newAccount(t)
		fresh := "new." + email
		in := must(b.signIn(email, "correct horse"))(t)
		must(b.call("sendOobCode",
			m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"], "newEmail": fresh}))(t)
		must(b.call("sendOobCode", m{"requestType": "PASSWORD_RESET", "email": email}))(t)
		change, reset := code(t, email, "VERIFY_AND_CHANGE_EMAIL")["oobCode"], code(t, email, "PASSWORD_RESET")["oobCode"]
		_, err := b.call("resetPassword", m{"oobCode": change, "newPassword": "battery staple"})
		wantError(t, err, "INVALID_OOB_CODE")
		must(b.call("update", m{"oobCode": change}))(t)
		_, err = b.call("update", m{"oobCode": change})
		wantError(t, err, "INVALID_OOB_CODE")
		_, err = b.call("resetPassword", m{"oobCode": reset, "newPassword": "battery staple"}) // of the old address
		wantError(t, err, "INVALID_OOB_CODE")
		must(b.signIn(fresh, "correct horse"))(t)
	})

	t.Run("a change to an address that was taken meanwhile", func(t *testing.T) {
		uid, email := newAccount(t)
		fresh := "new." + email
		in := must(b.signIn(email, "correct horse"))(t)
		must(b.call("sendOobCode",
			m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"], "newEmail": fresh}))(t)
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(fresh)))(t)
		_, err := b.call("update", m{"oobCode": code(t, email, "VERIFY_AND_CHANGE_EMAIL")["oobCode"]})
		wantError(t, err, "EMAIL_EXISTS")
		if u := must(admin.GetUser(ctx, uid))(t); u.Email != email || u.EmailVerified {
			t.Errorf("account %+v", u.UserInfo)
		}
	})

	// changed gives an account another address and returns the code that undoes it. The emulator makes one only if the
	// address is changed without a code, which the stand-in does not allow.
	changed := func(t *testing.T, email, fresh string) (undo any) {
		t.Helper()
		in := must(b.signIn(email, "correct horse"))(t)
		if _, err := b.call("update", m{"idToken": in["idToken"], "email": fresh}); err != nil {
			wantError(t, err, "OPERATION_NOT_ALLOWED")
			must(b.call("sendOobCode",
				m{"requestType": "VERIFY_AND_CHANGE_EMAIL", "idToken": in["idToken"], "newEmail": fresh}))(t)
			must(b.call("update", m{"oobCode": code(t, email, "VERIFY_AND_CHANGE_EMAIL")["oobCode"]}))(t)
		}
		return code(t, email, "RECOVER_EMAIL")["oobCode"]
	}

	t.Run("undo a change of the address", func(t *testing.T) {
		uid, email := newAccount(t)
		undo := changed(t, email, "new."+email)
		if u := must(admin.GetUser(ctx, uid))(t); u.Email != "new."+email {
			t.Errorf("account %+v", u.UserInfo)
		}
		info := must(b.call("resetPassword", m{"oobCode": undo}))(t)
		if info["email"] != email || info["requestType"] != "RECOVER_EMAIL" {
			t.Errorf("the code is for %v", info)
		}
		_, err := b.call("resetPassword", m{"oobCode": undo, "newPassword": "battery staple"})
		wantError(t, err, "INVALID_OOB_CODE")
		out := must(b.call("update", m{"oobCode": undo}))(t)
		u := must(admin.GetUser(ctx, uid))(t)
		if out["localId"] != uid || u.Email != email || !u.EmailVerified {
			t.Errorf("answer %v, account %+v", out, u.UserInfo)
		}
		_, err = b.call("update", m{"oobCode": undo})
		wantError(t, err, "INVALID_OOB_CODE")
		must(b.signIn(email, "correct horse"))(t)
	})

	t.Run("undo after the old address was taken", func(t *testing.T) {
		uid, email := newAccount(t)
		undo := changed(t, email, "new."+email)
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email)))(t)
		_, err := b.call("update", m{"oobCode": undo})
		wantError(t, err, "EMAIL_EXISTS")
		if u := must(admin.GetUser(ctx, uid))(t); u.Email != "new."+email {
			t.Errorf("account %+v", u.UserInfo)
		}
	})

	t.Run("a reset verifies the address", func(t *testing.T) {
		uid, email := newAccount(t)
		must(b.call("sendOobCode", m{"requestType": "PASSWORD_RESET", "email": email}))(t)
		before := must(admin.GetUser(ctx, uid))(t)
		must(b.call("resetPassword", m{"oobCode": code(t, email, "PASSWORD_RESET")["oobCode"],
			"newPassword": "battery staple"}))(t)
		after := must(admin.GetUser(ctx, uid))(t)
		if before.EmailVerified || !after.EmailVerified || after.TokensValidAfterMillis < before.TokensValidAfterMillis {
			t.Errorf("verified %v, then %v", before.EmailVerified, after.EmailVerified)
		}
	})

	t.Run("unlink the password", func(t *testing.T) {
		uid, email := newAccount(t)
		in := must(b.signIn(email, "correct horse"))(t)
		out := must(b.call("update", m{"idToken": in["idToken"], "deleteProvider": []string{"password"}}))(t)
		if list, _ := out["providerUserInfo"].([]any); len(list) != 0 {
			t.Errorf("providers %v", list)
		}
		if u := must(admin.GetUser(ctx, uid))(t); u.Email != "" || u.EmailVerified || len(u.ProviderUserInfo) != 0 {
			t.Errorf("account %+v", u.UserInfo)
		}
		_, err := b.signIn(email, "correct horse")
		wantError(t, err, "INVALID_LOGIN_CREDENTIALS")
		must(admin.CreateUser(ctx, (&auth.UserToCreate{}).Email(email)))(t) // the address is free
	})

	t.Run("refused requests for codes", func(t *testing.T) {
		_, email := newAccount(t)
		for want, in := range map[string]m{
			"MISSING_REQ_TYPE":        {"email": email},
			"MISSING_EMAIL":           {"requestType": "PASSWORD_RESET"},
			"MISSING_ID_TOKEN":        {"requestType": "VERIFY_AND_CHANGE_EMAIL", "newEmail": "x" + email},
			"INSUFFICIENT_PERMISSION": {"requestType": "PASSWORD_RESET", "email": email, "returnOobLink": true},
		} {
			_, err := b.call("sendOobCode", in)
			wantError(t, err, want)
		}
	})

	t.Run("list and query", func(t *testing.T) {
		want := map[string]bool{}
		for range 6 {
			uid, _ := newAccount(t)
			want[uid] = true
		}
		it := admin.Users(ctx, "")
		it.PageInfo().MaxSize = 2
		seen := map[string]int{}
		for {
			u, err := it.Next()
			if errors.Is(err, iterator.Done) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			seen[u.UID]++
		}
		for uid := range want {
			if seen[uid] != 1 {
				t.Errorf("%s listed %d times", uid, seen[uid])
			}
		}
		got := must(admin.QueryUsers(ctx, &auth.QueryUsersRequest{}))(t)
		if len(got.Users) != len(seen) {
			t.Errorf("query found %d of %d", len(got.Users), len(seen))
		}
	})
}

// callAsOwner makes an administrator's request that the Admin SDK does not offer.
func callAsOwner(host, path string, in any) (map[string]any, error) {
	req, err := jsonRequest(host+"/identitytoolkit.googleapis.com/v1/projects/"+testProject+"/"+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer owner")
	return answerOf(http.DefaultClient.Do(req))
}
