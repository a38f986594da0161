package accounts

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Options names a Firebase project and how it is reached.
type Options struct {
	Project      string
	APIKey       string       // the browser's API key; password resets are sent with it
	EmulatorHost string       // host:port of the Auth emulator or the stand-in; "": Google
	HTTP         *http.Client // for password resets and for the emulator; nil: a client with a timeout of 10 s

	// QuotaProject is the project whose quota calls of Identity Toolkit use. A person's credentials need one, because
	// Google refuses their calls otherwise. "" uses that of the credentials; a service account has its own project.
	QuotaProject string
}

// Firebase implements Accounts with the Firebase Admin SDK.
type Firebase struct {
	client *auth.Client
	local  bool // an emulator, which accepts sign-in tokens without a signature
	http   *http.Client
	base   string // address of Identity Toolkit
	key    string // the browser's API key
}

var _ Accounts = (*Firebase)(nil)

// NewFirebase returns the accounts of a project. On Google Cloud it uses the process's default credentials, which
// need the role Firebase Authentication Admin.
//
// The address of the emulator is an option, not an environment variable, so that several systems can run in one
// process.
func NewFirebase(ctx context.Context, o Options) (*Firebase, error) {
	if o.Project == "" {
		return nil, errors.New("accounts: no project")
	}
	hc := o.HTTP
	if hc == nil {
		hc = &http.Client{Timeout: 10 * time.Second}
	}
	base := "https://identitytoolkit.googleapis.com"
	var opts []option.ClientOption
	switch {
	case o.EmulatorHost != "":
		base = "http://" + o.EmulatorHost + "/identitytoolkit.googleapis.com"
		opts = append(opts,
			option.WithHTTPClient(&http.Client{Transport: emulator{o.EmulatorHost, hc.Transport}, Timeout: hc.Timeout}),
			// keeps the SDK from looking for credentials
			option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "owner"})))
	case o.QuotaProject != "":
		opts = append(opts, option.WithQuotaProject(o.QuotaProject))
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: o.Project}, opts...)
	if err != nil {
		return nil, fmt.Errorf("firebase: %w", err)
	}
	client, err := app.Auth(ctx)
	if err != nil {
		return nil, fmt.Errorf("firebase auth: %w", err)
	}
	return &Firebase{client: client, local: o.EmulatorHost != "", http: hc, base: base, key: o.APIKey}, nil
}

// emulator sends requests to Identity Toolkit to an emulator instead, whose paths begin with the host.
type emulator struct {
	host string
	next http.RoundTripper // nil: http.DefaultTransport
}

func (e emulator) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.URL.Host != e.host { // the SDK has done it if the environment names an emulator
		r.URL.Path = "/" + r.URL.Host + r.URL.Path
		r.URL.Scheme, r.URL.Host, r.Host = "http", e.host, ""
	}
	r.Header.Set("Authorization", "Bearer owner")
	next := e.next
	if next == nil {
		next = http.DefaultTransport
	}
	return next.RoundTrip(r)
}

// translate converts an error of the SDK to one of the port.
func translate(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case auth.IsUserNotFound(err), auth.IsEmailNotFound(err):
		return problem.ErrNotFound.WithCause(err)
	case auth.IsEmailAlreadyExists(err):
		return ErrEmailTaken.WithCause(err)
	case auth.IsUIDAlreadyExists(err):
		return ErrUIDTaken.WithCause(err)
	// The SDK has no predicate for these. Some come from its own checks, others are the codes of the service.
	case strings.Contains(text, "malformed email"), strings.Contains(text, "INVALID_EMAIL"):
		return ErrEmailInvalid.WithCause(err)
	case strings.Contains(text, "WEAK_PASSWORD"), strings.Contains(text, "PASSWORD_DOES_NOT_MEET_REQUIREMENTS"),
		strings.Contains(text, "password must be"):
		return ErrPasswordWeak.WithCause(err)
	}
	return problem.ErrUnavailable.WithCause(fmt.Errorf("firebase auth: %w", err))
}

// Create implements Accounts.
func (f *Firebase) Create(ctx context.Context, n New) error {
	_, err := f.client.CreateUser(ctx,
		(&auth.UserToCreate{}).UID(n.UID).Email(n.Email).EmailVerified(n.EmailVerified).Password(n.Password).
			DisplayName(n.DisplayName))
	return translate(err)
}

// Get implements Accounts.
func (f *Firebase) Get(ctx context.Context, uid string) (Account, error) {
	u, err := f.client.GetUser(ctx, uid)
	return account(u, err)
}

// maxLookUp is the number of accounts that one call of Firebase returns.
const maxLookUp = 100

// GetAll implements Accounts.
func (f *Firebase) GetAll(ctx context.Context, uids []string) (map[string]Account, error) {
	found := make(map[string]Account, len(uids))
	for part := range slices.Chunk(uids, maxLookUp) {
		ids := make([]auth.UserIdentifier, len(part))
		for i, uid := range part {
			ids[i] = auth.UIDIdentifier{UID: uid}
		}
		result, err := f.client.GetUsers(ctx, ids)
		if err != nil {
			return nil, translate(err)
		}
		for _, u := range result.Users {
			a, err := account(u, nil)
			if err != nil {
				return nil, err
			}
			found[u.UID] = a
		}
	}
	return found, nil
}

// ByEmail implements Accounts.
func (f *Firebase) ByEmail(ctx context.Context, email string) (Account, error) {
	u, err := f.client.GetUserByEmail(ctx, strings.ToLower(email))
	return account(u, err)
}

func account(u *auth.UserRecord, err error) (Account, error) {
	if err != nil {
		return Account{}, translate(err)
	}
	admin, _ := u.CustomClaims["admin"].(bool)
	a := Account{UID: u.UID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName,
		Disabled: u.Disabled, Admin: admin, SecondFactor: u.MultiFactor != nil && len(u.MultiFactor.EnrolledFactors) > 0,
		ValidAfter: time.UnixMilli(u.TokensValidAfterMillis).UTC()}
	if m := u.UserMetadata; m != nil {
		a.CreatedAt = time.UnixMilli(m.CreationTimestamp).UTC()
		if m.LastLogInTimestamp > 0 {
			a.LastSignIn = time.UnixMilli(m.LastLogInTimestamp).UTC()
		}
	}
	return a, nil
}

// RemoveSecondFactors implements Accounts.
func (f *Firebase) RemoveSecondFactors(ctx context.Context, uid string) error {
	_, err := f.client.UpdateUser(ctx, uid, (&auth.UserToUpdate{}).MFASettings(auth.MultiFactorSettings{}))
	return translate(err)
}

// CheckPassword implements Accounts. The SDK cannot do it, so this sends the request of a browser that signs in, and
// drops the tokens. If the account has a second factor, the answer has none, but also shows that the password is right.
func (f *Firebase) CheckPassword(ctx context.Context, email, password string) (uid string, right bool, err error) {
	status, answer, err := f.call(ctx, "signInWithPassword",
		map[string]any{"email": email, "password": password, "returnSecureToken": true})
	if err != nil {
		return "", false, err
	}
	if status < 300 {
		var in struct {
			UID string `json:"localId"`
		}
		if err := json.Unmarshal(answer, &in); err != nil || in.UID == "" {
			return "", false, problem.ErrUnavailable.WithCause(errors.New("check a password: the answer has no uid"))
		}
		return in.UID, true, nil
	}
	has := func(code string) bool { return bytes.Contains(answer, []byte(code)) }
	switch {
	case has("TOO_MANY_ATTEMPTS_TRY_LATER"):
		return "", false, ErrTooManyTries
	case has("INVALID_LOGIN_CREDENTIALS"), has("INVALID_PASSWORD"), has("EMAIL_NOT_FOUND"), has("INVALID_EMAIL"),
		has("MISSING_PASSWORD"), has("MISSING_EMAIL"), has("USER_DISABLED"):
		return "", false, nil
	}
	return "", false, problem.ErrUnavailable.WithCause(fmt.Errorf("check a password: status %d: %.300s", status, answer))
}

// SignInToken implements Accounts.
func (f *Firebase) SignInToken(ctx context.Context, uid string) (string, error) {
	if !f.local {
		token, err := f.client.CustomToken(ctx, uid)
		return token, translate(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(map[string]any{"uid": uid, "iat": time.Now().Unix(), "exp": time.Now().Unix() + 3600,
		"aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"})
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + ".", err
}

// Update implements Accounts.
func (f *Firebase) Update(ctx context.Context, uid string, c Change) error {
	u := &auth.UserToUpdate{}
	if c.Password != nil {
		u.Password(*c.Password)
	}
	if c.EmailVerified != nil {
		u.EmailVerified(*c.EmailVerified)
	}
	if c.DisplayName != nil {
		u.DisplayName(*c.DisplayName)
	}
	if c.Disabled != nil {
		u.Disabled(*c.Disabled)
	}
	_, err := f.client.UpdateUser(ctx, uid, u)
	return translate(err)
}

// SetAdmin implements Accounts. It keeps the other claims of the account.
func (f *Firebase) SetAdmin(ctx context.Context, uid string, admin bool) error {
	u, err := f.client.GetUser(ctx, uid)
	if err != nil {
		return translate(err)
	}
	claims := maps.Clone(u.CustomClaims)
	if claims == nil {
		claims = map[string]any{}
	}
	if admin {
		claims["admin"] = true
	} else {
		delete(claims, "admin")
	}
	return translate(f.client.SetCustomUserClaims(ctx, uid, claims))
}

// Revoke implements Accounts.
func (f *Firebase) Revoke(ctx context.Context, uid string) error {
	return translate(f.client.RevokeRefreshTokens(ctx, uid))
}

// Delete implements Accounts.
func (f *Firebase) Delete(ctx context.Context, uid string) error {
	err := translate(f.client.DeleteUser(ctx, uid))
	if errors.Is(err, problem.ErrNotFound) {
		return nil
	}
	return err
}

// SendPasswordReset implements Accounts. The SDK can only create the link. So this sends the same request as a
// browser, and Firebase sends the email.
func (f *Firebase) SendPasswordReset(ctx context.Context, uid string) error {
	account, err := f.Get(ctx, uid)
	if err != nil {
		return err
	}
	if account.Email == "" {
		return ErrNoEmail
	}
	status, answer, err := f.call(ctx, "sendOobCode",
		map[string]any{"requestType": "PASSWORD_RESET", "email": account.Email})
	switch {
	case err != nil:
		return err
	case status < 300:
		return nil
	case bytes.Contains(answer, []byte("EMAIL_NOT_FOUND")):
		return problem.ErrNotFound
	}
	return problem.ErrUnavailable.WithCause(fmt.Errorf("send password reset: status %d: %.300s", status, answer))
}

// call sends a request as a browser does, with its API key, and returns the status and the body of the answer.
func (f *Firebase) call(ctx context.Context, method string, in map[string]any) (status int, answer []byte, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		f.base+"/v1/accounts:"+method+"?key="+url.QueryEscape(f.key), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, nil, problem.ErrUnavailable.WithCause(withoutKey(err))
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, nil, problem.ErrUnavailable.WithCause(withoutKey(err))
	}
	return resp.StatusCode, answer, nil
}

// withoutKey removes the URL, which contains the key, from an error that will be logged.
func withoutKey(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
