package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// emailOf returns the address of a user.
func emailOf(uid string) string { return uid + "@example.org" }

// AddUsers creates n users and returns their uids.
func (a *Archive) AddUsers(ctx context.Context, n int) ([]string, error) {
	var uids []string
	now := chat.MicrosOf(time.Now())
	for range n {
		number := a.added.Add(1)
		uid := fmt.Sprintf("user%05d", number)
		email := emailOf(uid)
		reservation, err := a.Reserve(ctx, email, uid, uid, uid, now, time.Minute)
		if err != nil {
			return nil, fmt.Errorf("add user %s: %w", uid, err)
		}
		u := store.User{
			UID: reservation.UID, Username: uid, DisplayName: fmt.Sprintf("User %d", number), Email: email,
			EmailVerified: true, CreatedAt: now,
		}
		if err := a.Commit(ctx, reservation, u); err != nil {
			return nil, fmt.Errorf("add user %s: %w", uid, err)
		}
		uids = append(uids, reservation.UID)
	}
	return uids, nil
}

// Erase deletes the user and all that they wrote, as the functions do. It calls notify, which informs realtime, after
// it has marked the user and before it deletes anything.
func (a *Archive) Erase(ctx context.Context, uid string, notify func() error) error {
	now := chat.MicrosOf(time.Now())
	if _, err := a.BeginErase(ctx, uid, now); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	if err := notify(); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	if err := a.EraseContent(ctx, uid); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	return a.FinishErase(ctx, uid, now)
}

// tokenLifetime is the lifetime of Firebase's ID tokens.
const tokenLifetime = time.Hour

// Token returns an unsigned ID token for uid, like those of the Auth emulator, and when it expires.
func (a *Archive) Token(uid string) (string, time.Time, error) {
	now := time.Now().Add(-5 * time.Second)
	ends := now.Add(tokenLifetime)
	t := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + a.project, "aud": a.project, "sub": uid,
		"iat": now.Unix(), "auth_time": a.began.Unix(), "exp": ends.Unix(), "email": emailOf(uid), "email_verified": true,
	})
	token, err := t.SignedString(jwt.UnsafeAllowNoneSignatureType)
	return token, ends, err
}
