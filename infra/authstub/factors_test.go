package authstub

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"firebase.google.com/go/v4/auth"
)

// factorCall makes a request of the browser SDK about second factors, such as "mfaEnrollment:start".
func (b browser) factorCall(method string, in any) (map[string]any, error) {
	req, err := jsonRequest(b.url+"/identitytoolkit.googleapis.com/v2/accounts/"+method+"?key=local", in)
	if err != nil {
		return nil, err
	}
	return answerOf(http.DefaultClient.Do(req))
}

// appCode returns the code that an authenticator app shows.
func appCode(t *testing.T, secret any, at time.Time) string {
	t.Helper()
	return must(CodeAt(secret.(string), at))(t)
}

// startEnrolling returns the answer to the start of an enrollment.
func (b browser) startEnrolling(idToken any) (map[string]any, error) {
	out, err := b.factorCall("mfaEnrollment:start", m{"idToken": idToken, "totpEnrollmentInfo": m{}})
	if err != nil {
		return nil, err
	}
	return out["totpSessionInfo"].(map[string]any), nil
}

func (b browser) finishEnrolling(idToken, session any, code string) (map[string]any, error) {
	return b.factorCall("mfaEnrollment:finalize", m{"idToken": idToken, "displayName": "Phone",
		"totpVerificationInfo": m{"sessionInfo": session, "verificationCode": code}})
}

func (b browser) confirm(asked map[string]any, code string) (map[string]any, error) {
	factor := asked["mfaInfo"].([]any)[0].(map[string]any)
	return b.factorCall("mfaSignIn:finalize", m{"mfaPendingCredential": asked["mfaPendingCredential"],
		"mfaEnrollmentId": factor["mfaEnrollmentId"], "totpVerificationInfo": m{"verificationCode": code}})
}

// verified creates an account with a verified address.
func verified(t *testing.T, admin *auth.Client, uid string) {
	t.Helper()
	must(admin.CreateUser(t.Context(), (&auth.UserToCreate{}).UID(uid).Email(uid+"@example.com").
		Password("correct horse").EmailVerified(true)))(t)
}

// enroll gives an account a factor, and returns its secret and the tokens.
func (b browser) enroll(t *testing.T, uid string, c *clock) (secret string, tokens map[string]any) {
	t.Helper()
	in := must(b.signIn(uid+"@example.com", "correct horse"))(t)
	info := must(b.startEnrolling(in["idToken"]))(t)
	secret = info["sharedSecretKey"].(string)
	return secret, must(b.finishEnrolling(in["idToken"], info["sessionInfo"], appCode(t, secret, c.Now())))(t)
}

// claimsOf returns the claims of an ID token.
func claimsOf(t *testing.T, token any) (c map[string]any) {
	t.Helper()
	body := must(b64url.DecodeString(strings.Split(token.(string), ".")[1]))(t)
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantFactor checks that an ID token says whether a second factor has confirmed the sign-in.
func wantFactor(t *testing.T, token any, want bool) {
	t.Helper()
	claims := claimsOf(t, token)["firebase"].(map[string]any)
	if has := claims["sign_in_second_factor"] == "totp" && claims["second_factor_identifier"] != ""; has != want {
		t.Errorf("claims %v, want a second factor: %v", claims, want)
	}
}

func TestASecondFactor(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	var shown []string
	s.code = func(email, code string) { shown = append(shown, email+" "+code) }
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	before := must(b.signIn("ann@example.com", "correct horse"))(t)
	c.advance(time.Minute)
	secret, in := b.enroll(t, "ann", c)
	wantFactor(t, in["idToken"], true)
	_, err := b.refresh(before["refreshToken"])
	wantError(t, err, "TOKEN_EXPIRED")
	wantFactor(t, must(b.refresh(in["refreshToken"]))(t)["id_token"], true)

	c.advance(time.Minute)
	shown = nil
	asked := must(b.signIn("ann@example.com", "correct horse"))(t)
	if asked["idToken"] != nil || asked["refreshToken"] != nil || asked["localId"] != "ann" {
		t.Errorf("the answer to the password alone is %v", asked)
	}
	if want := "ann@example.com " + appCode(t, secret, c.Now()); len(shown) != 1 || shown[0] != want {
		t.Errorf("shown %q, want %q", shown, want)
	}
	second := must(b.confirm(asked, appCode(t, secret, c.Now())))(t)
	wantFactor(t, second["idToken"], true)
	if at := claimsOf(t, second["idToken"])["auth_time"]; at != float64(c.Now().Unix()) {
		t.Errorf("auth_time %v, want %v", at, c.Now().Unix())
	}
	// A change of the own account keeps what is known of the sign-in.
	named := must(b.call("update", m{"idToken": second["idToken"], "displayName": "Ann", "returnSecureToken": true}))(t)
	wantFactor(t, named["idToken"], true)

	u := must(admin.GetUser(t.Context(), "ann"))(t)
	if f := u.MultiFactor.EnrolledFactors; len(f) != 1 || f[0].FactorID != "totp" || f[0].DisplayName != "Phone" {
		t.Errorf("the Admin SDK sees %+v", f)
	}
	factor := claimsOf(t, second["idToken"])["firebase"].(map[string]any)["second_factor_identifier"]
	removed := must(b.factorCall("mfaEnrollment:withdraw", m{"idToken": second["idToken"], "mfaEnrollmentId": factor}))(t)
	wantFactor(t, removed["idToken"], false)
	if in := must(b.signIn("ann@example.com", "correct horse"))(t); in["idToken"] == nil {
		t.Errorf("after the removal, the password is answered with %v", in)
	}
}

// A person without an authenticator app reads the codes: that of a new secret, and then one that was not used yet.
func TestCodesAreShown(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_015, 0)} // the middle of a period
	s := start(t, dbPath(t), c.Now)
	var shown []string
	s.code = func(email, code string) {
		if email != "ann@example.com" {
			t.Errorf("a code for %s", email)
		}
		shown = append(shown, code)
	}
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	in := must(b.signIn("ann@example.com", "correct horse"))(t)
	if len(shown) != 0 {
		t.Fatalf("without a factor: %q", shown)
	}
	info := must(b.startEnrolling(in["idToken"]))(t)
	if len(shown) != 1 || shown[0] != appCode(t, info["sharedSecretKey"], c.Now()) {
		t.Fatalf("shown %q at the start of an enrollment", shown)
	}
	must(b.finishEnrolling(in["idToken"], info["sessionInfo"], shown[0]))(t)
	// In the same period, the code of the next one is shown.
	asked := must(b.signIn("ann@example.com", "correct horse"))(t)
	must(b.confirm(asked, shown[1]))(t)
	// Then the app has none that is accepted until the period is over.
	asked = must(b.signIn("ann@example.com", "correct horse"))(t)
	_, err := b.confirm(asked, shown[2])
	wantError(t, err, "INVALID_CODE")
	c.advance(codePeriod)
	must(b.confirm(asked, shown[2]))(t)
	c.advance(time.Minute)
	asked = must(b.signIn("ann@example.com", "correct horse"))(t)
	must(b.confirm(asked, shown[3]))(t)
	if len(shown) != 4 || shown[3] != appCode(t, info["sharedSecretKey"], c.Now()) {
		t.Errorf("shown %q", shown)
	}
}

func TestAnAdministratorRemovesAFactor(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	b.enroll(t, "ann", c)
	must(admin.UpdateUser(t.Context(), "ann", (&auth.UserToUpdate{}).DisplayName("Ann")))(t)
	if u := must(admin.GetUser(t.Context(), "ann"))(t); len(u.MultiFactor.EnrolledFactors) != 1 {
		t.Errorf("another change removed the factor: %+v", u.MultiFactor)
	}
	must(admin.UpdateUser(t.Context(), "ann", (&auth.UserToUpdate{}).MFASettings(auth.MultiFactorSettings{})))(t)
	if u := must(admin.GetUser(t.Context(), "ann"))(t); u.MultiFactor != nil && len(u.MultiFactor.EnrolledFactors) > 0 {
		t.Errorf("the factor is still there: %+v", u.MultiFactor)
	}
	if in := must(b.signIn("ann@example.com", "correct horse"))(t); in["idToken"] == nil {
		t.Errorf("after the removal, the password is answered with %v", in)
	}
}

// A code works once, and for the periods beside its own.
func TestCodesOfAFactor(t *testing.T) {
	c := &clock{now: time.Unix(1_800_000_015, 0)} // the middle of a period
	s := start(t, dbPath(t), c.Now)
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	secret, _ := b.enroll(t, "ann", c)
	try := func(at time.Duration) error {
		_, err := b.confirm(must(b.signIn("ann@example.com", "correct horse"))(t), appCode(t, secret, c.Now().Add(at)))
		return err
	}
	wantError(t, try(0), "INVALID_CODE") // it has enrolled the factor
	wantError(t, try(-codePeriod), "INVALID_CODE")
	c.advance(5 * codePeriod)
	for _, step := range []struct {
		at   time.Duration
		want string
	}{
		{-2 * codePeriod, "INVALID_CODE"}, {2 * codePeriod, "INVALID_CODE"},
		{-codePeriod, ""}, {-codePeriod, "INVALID_CODE"}, {0, ""}, {codePeriod, ""}, {0, "INVALID_CODE"},
	} {
		if err := try(step.at); step.want != "" {
			wantError(t, err, step.want)
		} else if err != nil {
			t.Errorf("the code of %v: %v", step.at, err)
		}
	}
}

func TestWrongCodesLockAFactor(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	secret, _ := b.enroll(t, "ann", c)
	c.advance(time.Minute)
	asked := must(b.signIn("ann@example.com", "correct horse"))(t)
	for range maxFailures {
		_, err := b.confirm(asked, "12345")
		wantError(t, err, "INVALID_CODE")
	}
	_, err := b.confirm(asked, appCode(t, secret, c.Now()))
	wantError(t, err, "TOO_MANY_ATTEMPTS_TRY_LATER")
	c.advance(failureWindow)
	must(b.confirm(asked, appCode(t, secret, c.Now())))(t)
}

func TestEnrollmentsThatAreRefused(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b, admin := browser{s.url}, sdk(t, s.url)
	createAnn(t, admin)
	verified(t, admin, "bob")
	verified(t, admin, "cat")
	ann := must(b.signIn("ann@example.com", "correct horse"))(t)
	_, err := b.startEnrolling(ann["idToken"])
	wantError(t, err, "UNVERIFIED_EMAIL")
	bob := must(b.signIn("bob@example.com", "correct horse"))(t)
	_, err = b.factorCall("mfaEnrollment:start", m{"idToken": bob["idToken"], "phoneEnrollmentInfo": m{}})
	wantError(t, err, "OPERATION_NOT_ALLOWED")
	info := must(b.startEnrolling(bob["idToken"]))(t)
	secret, session := info["sharedSecretKey"], info["sessionInfo"]

	_, err = b.finishEnrolling(bob["idToken"], session, "000000")
	wantError(t, err, "INVALID_CODE")
	cat := must(b.signIn("cat@example.com", "correct horse"))(t)
	_, err = b.finishEnrolling(cat["idToken"], session, appCode(t, secret, c.Now())) // somebody else's
	wantError(t, err, "INVALID_SESSION_INFO")
	for _, other := range []any{"x", bob["refreshToken"]} {
		_, err = b.finishEnrolling(bob["idToken"], other, appCode(t, secret, c.Now()))
		wantError(t, err, "INVALID_SESSION_INFO")
	}
	c.advance(recentLogin + time.Second)
	_, err = b.startEnrolling(bob["idToken"])
	wantError(t, err, "CREDENTIAL_TOO_OLD_LOGIN_AGAIN")
	c.advance(factorTime)
	bob = must(b.signIn("bob@example.com", "correct horse"))(t)
	_, err = b.finishEnrolling(bob["idToken"], session, appCode(t, secret, c.Now()))
	wantError(t, err, "SESSION_EXPIRED")

	_, enrolled := b.enroll(t, "bob", c)
	_, err = b.startEnrolling(enrolled["idToken"])
	wantError(t, err, "SECOND_FACTOR_EXISTS")
}

func TestSignInsWithAFactorThatAreRefused(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b, admin := browser{s.url}, sdk(t, s.url)
	verified(t, admin, "ann")
	verified(t, admin, "bob")
	secret, enrolled := b.enroll(t, "ann", c)
	b.enroll(t, "bob", c)
	c.advance(time.Minute)
	ask := func() map[string]any { return must(b.signIn("ann@example.com", "correct horse"))(t) }
	ann, bob := ask(), must(b.signIn("bob@example.com", "correct horse"))(t)

	_, err := b.confirm(m{"mfaPendingCredential": ann["mfaPendingCredential"], "mfaInfo": bob["mfaInfo"]},
		appCode(t, secret, c.Now()))
	wantError(t, err, "MFA_ENROLLMENT_NOT_FOUND")
	_, err = b.confirm(m{"mfaPendingCredential": bob["mfaPendingCredential"], "mfaInfo": ann["mfaInfo"]},
		appCode(t, secret, c.Now()))
	wantError(t, err, "MFA_ENROLLMENT_NOT_FOUND")
	for _, other := range []any{"x", enrolled["refreshToken"]} {
		_, err = b.confirm(m{"mfaPendingCredential": other, "mfaInfo": ann["mfaInfo"]}, appCode(t, secret, c.Now()))
		wantError(t, err, "INVALID_MFA_PENDING_CREDENTIAL")
	}
	// A pending sign-in does not work as one that is complete.
	_, err = b.refresh(ann["mfaPendingCredential"])
	wantError(t, err, "INVALID_REFRESH_TOKEN")

	c.advance(time.Minute)
	must(admin.UpdateUser(t.Context(), "ann", (&auth.UserToUpdate{}).Password("battery staple")))(t)
	_, err = b.confirm(ann, appCode(t, secret, c.Now()))
	wantError(t, err, "INVALID_MFA_PENDING_CREDENTIAL")
	must(admin.UpdateUser(t.Context(), "ann", (&auth.UserToUpdate{}).Password("correct horse")))(t)
	ann = ask()
	c.advance(factorTime + time.Second)
	_, err = b.confirm(ann, appCode(t, secret, c.Now()))
	wantError(t, err, "INVALID_MFA_PENDING_CREDENTIAL")
	ann = ask()
	must(admin.UpdateUser(t.Context(), "ann", (&auth.UserToUpdate{}).Disabled(true)))(t)
	_, err = b.confirm(ann, appCode(t, secret, c.Now()))
	wantError(t, err, "USER_DISABLED")
}

// The owner of an address who resets the password still needs the code.
func TestAResetKeepsTheFactor(t *testing.T) {
	c := &clock{now: time.Now()}
	s := start(t, dbPath(t), c.Now)
	b := browser{s.url}
	verified(t, sdk(t, s.url), "ann")
	b.enroll(t, "ann", c)
	must(b.call("sendOobCode", m{"requestType": PasswordReset, "email": "ann@example.com"}))(t)
	id := must(url.Parse((<-s.mails).Link))(t).Query().Get("oobCode")
	must(b.call("resetPassword", m{"oobCode": id, "newPassword": "battery staple"}))(t)
	if in := must(b.signIn("ann@example.com", "battery staple"))(t); in["mfaPendingCredential"] == nil {
		t.Errorf("the new password alone is answered with %v", in)
	}
}
