package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Enrol makes n people more and returns their uids.
func (a *Archive) AddUsers(ctx context.Context, n int) ([]string, error) {
	var uids []string
	now := chat.MicrosOf(time.Now())
	for range n {
		number := a.added.Add(1)
		uid := fmt.Sprintf("person%05d", number)
		email := uid + "@example.org"
		reservation, err := a.Reserve(ctx, email, uid, uid, uid, now, time.Minute)
		if err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		u := store.User{UID: reservation.UID, Username: uid, DisplayName: fmt.Sprintf("Person %d", number), Email: email, CreatedAt: now}
		if err := a.Commit(ctx, reservation, u); err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		uids = append(uids, reservation.UID)
	}
	return uids, nil
}

// Erase deletes the person with all they wrote, as the functions do. told is
// called between the mark and the deletion, to tell realtime.
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

// tokenLife is as long as that of Firebase's ID tokens.
const tokenLifetime = time.Hour

// Token returns an ID token for uid, unsigned, as the Auth emulator makes them.
func (a *Archive) Token(uid string) (string, time.Time, error) {
	now := time.Now().Add(-5 * time.Second)
	ends := now.Add(tokenLifetime)
	t := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + a.project, "aud": a.project, "sub": uid,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": ends.Unix(), "email": uid + "@example.org",
	})
	token, err := t.SignedString(jwt.UnsafeAllowNoneSignatureType)
	return token, ends, err
}
