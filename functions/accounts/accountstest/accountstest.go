// Package accountstest is the conformance suite of package accounts. Other tests may use the system under test at the
// same time, so every test creates its own accounts.
package accountstest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

const password = "correct horse battery"

// SignIn signs in like a browser, at the emulator or stand-in at host, and returns the ID token. The text of the
// error is the code of the sign-in system.
func SignIn(ctx context.Context, host, email, password string) (token string, err error) {
	return signIn(ctx, host, "signInWithPassword",
		map[string]any{"email": email, "password": password, "returnSecureToken": true})
}

// SignInWithToken is SignIn with a sign-in token.
func SignInWithToken(ctx context.Context, host, token string) (idToken string, err error) {
	return signIn(ctx, host, "signInWithCustomToken", map[string]any{"token": token, "returnSecureToken": true})
}

func signIn(ctx context.Context, host, method string, in map[string]any) (token string, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+host+"/identitytoolkit.googleapis.com/v1/accounts:"+method+"?key=any", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		IDToken string `json:"idToken"`
		Error   struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(answer.Error.Message)
	}
	return answer.IDToken, nil
}

// unlinkPassword removes the address and the password of an account, as a user can do.
func unlinkPassword(ctx context.Context, host, token string) error {
	body := `{"idToken": "` + token + `", "deleteProvider": ["password"]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+host+"/identitytoolkit.googleapis.com/v1/accounts:update?key=any", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("unlink the password: %s", resp.Status)
	}
	return nil
}

// Claims returns the claims of an unsigned token of an emulator.
func Claims(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("token has %d parts, want 3", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, json.Unmarshal(b, &claims)
}

// Run runs the suite on a. Users sign in at host, an emulator or the stand-in.
func Run(t *testing.T, a accounts.Accounts, host string) {
	ctx := t.Context()
	newAccount := func(t *testing.T) accounts.New {
		t.Helper()
		n := accounts.New{UID: strings.ReplaceAll(uuid.NewString(), "-", ""), Password: password, DisplayName: "Ada ☂"}
		n.Email = n.UID + "@example.org"
		must(t, a.Create(ctx, n))
		t.Cleanup(func() { must(t, a.Delete(context.Background(), n.UID)) })
		return n
	}

	t.Run("create", func(t *testing.T) {
		n := newAccount(t)
		token, err := SignIn(ctx, host, n.Email, password)
		must(t, err)
		claims, err := Claims(token)
		must(t, err)
		if claims["sub"] != n.UID || claims["email"] != n.Email || claims["admin"] != nil {
			t.Errorf("claims %v", claims)
		}
		got, err := a.Get(ctx, n.UID)
		must(t, err)
		byEmail, err := a.ByEmail(ctx, strings.ToUpper(n.Email))
		must(t, err)
		if got != byEmail || got.UID != n.UID || got.Email != n.Email || got.DisplayName != n.DisplayName || got.Disabled ||
			got.Admin ||
			time.Since(got.CreatedAt) > time.Hour || got.LastSignIn.IsZero() {
			t.Errorf("account %+v, by email %+v", got, byEmail)
		}
	})

	t.Run("sign-in token", func(t *testing.T) {
		n := newAccount(t)
		token, err := a.SignInToken(ctx, n.UID)
		must(t, err)
		id, err := SignInWithToken(ctx, host, token)
		must(t, err)
		claims, err := Claims(id)
		must(t, err)
		if claims["sub"] != n.UID || claims["email"] != n.Email {
			t.Errorf("claims %v", claims)
		}
		for _, bad := range []string{"", "a.b", "a.b.c"} {
			if _, err := SignInWithToken(ctx, host, bad); err == nil {
				t.Errorf("the token %q is accepted", bad)
			}
		}
	})

	t.Run("get all", func(t *testing.T) {
		var uids []string
		for range 3 {
			uids = append(uids, newAccount(t).UID)
		}
		for i := range 150 { // more than one call of Firebase returns
			uids = append(uids, fmt.Sprintf("nobody%d", i))
		}
		uids = append(uids, newAccount(t).UID)
		got, err := a.GetAll(ctx, uids)
		must(t, err)
		if len(got) != 4 {
			t.Errorf("%d accounts, want 4", len(got))
		}
		for _, uid := range []string{uids[0], uids[len(uids)-1]} {
			one, err := a.Get(ctx, uid)
			must(t, err)
			if got[uid] != one {
				t.Errorf("account %+v, want %+v", got[uid], one)
			}
		}
		none, err := a.GetAll(ctx, nil)
		must(t, err)
		if len(none) != 0 {
			t.Errorf("accounts of no uids: %v", none)
		}
	})

	t.Run("create refused", func(t *testing.T) {
		n := newAccount(t)
		other := accounts.New{UID: n.UID + "x", Email: strings.ToUpper(n.Email), Password: password, DisplayName: "Eve"}
		mustBe(t, a.Create(ctx, other), accounts.ErrEmailTaken)
		other.UID, other.Email = n.UID, "x"+n.Email
		mustBe(t, a.Create(ctx, other), accounts.ErrUIDTaken)
		other.UID, other.Email = n.UID+"y", "no address"
		mustBe(t, a.Create(ctx, other), accounts.ErrEmailInvalid)
		other.Email, other.Password = "y"+n.Email, "short"
		mustBe(t, a.Create(ctx, other), accounts.ErrPasswordWeak)
		for _, uid := range []string{n.UID + "x", n.UID + "y"} {
			_, err := a.Get(ctx, uid)
			mustBe(t, err, problem.ErrNotFound)
		}
		if err := a.Create(ctx, n); !errors.Is(err, accounts.ErrUIDTaken) && !errors.Is(err, accounts.ErrEmailTaken) {
			t.Errorf("creating an account twice: error %v", err)
		}
	})

	t.Run("unknown account", func(t *testing.T) {
		_, err := a.Get(ctx, "nobody")
		mustBe(t, err, problem.ErrNotFound)
		_, err = a.ByEmail(ctx, "nobody@example.org")
		mustBe(t, err, problem.ErrNotFound)
		name := "x"
		mustBe(t, a.Update(ctx, "nobody", accounts.Change{DisplayName: &name}), problem.ErrNotFound)
		mustBe(t, a.SetAdmin(ctx, "nobody", true), problem.ErrNotFound)
		mustBe(t, a.Revoke(ctx, "nobody"), problem.ErrNotFound)
		must(t, a.Delete(ctx, "nobody"))
	})

	t.Run("verified address", func(t *testing.T) {
		n := newAccount(t)
		for _, verified := range []bool{true, false} {
			must(t, a.Update(ctx, n.UID, accounts.Change{EmailVerified: &verified}))
			got, err := a.Get(ctx, n.UID)
			must(t, err)
			token, err := SignIn(ctx, host, n.Email, password)
			must(t, err)
			claims, err := Claims(token)
			must(t, err)
			if got.EmailVerified != verified || claims["email_verified"] != verified {
				t.Errorf("verified is %v in the account and %v in the token, want %v", got.EmailVerified,
					claims["email_verified"], verified)
			}
		}
		other := accounts.New{UID: n.UID + "v", Email: "v" + n.Email, EmailVerified: true, Password: password,
			DisplayName: "Eve"}
		must(t, a.Create(ctx, other))
		t.Cleanup(func() { must(t, a.Delete(context.Background(), other.UID)) })
		if got, err := a.Get(ctx, other.UID); err != nil || !got.EmailVerified {
			t.Errorf("created with a verified address: %+v, %v", got, err)
		}
	})

	t.Run("update", func(t *testing.T) {
		n := newAccount(t)
		name, fresh, yes, no := "Ada King", "another password", true, false
		must(t, a.Update(ctx, n.UID, accounts.Change{DisplayName: &name, Password: &fresh}))
		if _, err := SignIn(ctx, host, n.Email, password); err == nil {
			t.Error("the old password still works")
		}
		_, err := SignIn(ctx, host, n.Email, fresh)
		must(t, err)
		must(t, a.Update(ctx, n.UID, accounts.Change{Disabled: &yes}))
		if _, err := SignIn(ctx, host, n.Email, fresh); err == nil || !strings.Contains(err.Error(), "USER_DISABLED") {
			t.Errorf("signing in to a disabled account: error %v, want USER_DISABLED", err)
		}
		got, err := a.Get(ctx, n.UID)
		must(t, err)
		if !got.Disabled || got.DisplayName != name {
			t.Errorf("account %+v", got)
		}
		must(t, a.Update(ctx, n.UID, accounts.Change{Disabled: &no}))
		_, err = SignIn(ctx, host, n.Email, fresh)
		must(t, err)
		mustBe(t, a.Update(ctx, n.UID, accounts.Change{Password: new(string)}), accounts.ErrPasswordWeak)
	})

	t.Run("admin", func(t *testing.T) {
		n := newAccount(t)
		for _, admin := range []bool{true, true, false, false} {
			must(t, a.SetAdmin(ctx, n.UID, admin))
			got, err := a.Get(ctx, n.UID)
			must(t, err)
			token, err := SignIn(ctx, host, n.Email, password)
			must(t, err)
			claims, err := Claims(token)
			must(t, err)
			if got.Admin != admin || (claims["admin"] == true) != admin {
				t.Errorf("admin is %v in the account and %v in the token, want %v", got.Admin, claims["admin"], admin)
			}
		}
	})

	t.Run("revoke", func(t *testing.T) {
		n := newAccount(t)
		before, err := a.Get(ctx, n.UID)
		must(t, err)
		must(t, a.Revoke(ctx, n.UID))
		after, err := a.Get(ctx, n.UID)
		must(t, err)
		if after.ValidAfter.Before(before.ValidAfter) || time.Since(after.ValidAfter) > time.Minute {
			t.Errorf("ValidAfter %v, then %v", before.ValidAfter, after.ValidAfter)
		}
		_, err = SignIn(ctx, host, n.Email, password)
		must(t, err)
	})

	t.Run("delete", func(t *testing.T) {
		n := newAccount(t)
		must(t, a.Delete(ctx, n.UID))
		must(t, a.Delete(ctx, n.UID))
		_, err := a.Get(ctx, n.UID)
		mustBe(t, err, problem.ErrNotFound)
		if _, err := SignIn(ctx, host, n.Email, password); err == nil {
			t.Error("signing in to a deleted account succeeds")
		}
		must(t, a.Create(ctx, n)) // the address and the uid are free again
	})

	t.Run("password reset", func(t *testing.T) {
		n := newAccount(t)
		must(t, a.SendPasswordReset(ctx, n.UID))
		mustBe(t, a.SendPasswordReset(ctx, "nobody"), problem.ErrNotFound)
		token, err := SignIn(ctx, host, n.Email, password)
		must(t, err)
		must(t, unlinkPassword(ctx, host, token))
		mustBe(t, a.SendPasswordReset(ctx, n.UID), accounts.ErrNoEmail)
	})

	t.Run("check a password", func(t *testing.T) {
		n := newAccount(t)
		check := func(email, secret, want string) {
			t.Helper()
			uid, right, err := a.CheckPassword(ctx, email, secret)
			must(t, err)
			if uid != want || right != (want != "") {
				t.Errorf("the password %q of %q: uid %q, right %v, want uid %q", secret, email, uid, right, want)
			}
		}
		check(n.Email, password, n.UID)
		check(n.Email, password+"x", "")
		check(n.Email, "", "")
		check("nobody@example.org", password, "")
		check("", password, "")
		check("no address", password, "")
		disabled := true
		must(t, a.Update(ctx, n.UID, accounts.Change{Disabled: &disabled}))
		check(n.Email, password, "")
		must(t, a.RemoveSecondFactors(ctx, n.UID)) // it has none
		mustBe(t, a.RemoveSecondFactors(ctx, "nobody"), problem.ErrNotFound)
	})

	t.Run("ended context", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for _, err := range []error{a.Create(ended, accounts.New{UID: "ended", Email: "ended@example.org", Password: password,
			DisplayName: "Eve"}), a.SendPasswordReset(ended, "ended@example.org"), a.RemoveSecondFactors(ended, "ended"),
			checkOf(a.CheckPassword(ended, "ended@example.org", password))} {
			mustBe(t, err, problem.ErrUnavailable)
		}
	})
}

func checkOf(_ string, _ bool, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}
