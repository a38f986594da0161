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
func (a *Archive) Enrol(ctx context.Context, n int) ([]string, error) {
	var uids []string
	now := chat.MicrosOf(time.Now())
	for range n {
		number := a.enrolled.Add(1)
		uid := fmt.Sprintf("person%05d", number)
		email := uid + "@example.org"
		sign, err := a.Reserve(ctx, email, uid, uid, uid, now, time.Minute)
		if err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		u := store.User{UID: sign.UID, Username: uid, DisplayName: fmt.Sprintf("Person %d", number), Email: email, CreatedAt: now}
		if err := a.Commit(ctx, sign, u); err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		uids = append(uids, sign.UID)
	}
	return uids, nil
}

// Erase deletes the person with all they wrote, as the functions do. told is
// called between the mark and the deletion, to tell realtime.
func (a *Archive) Erase(ctx context.Context, uid string, told func() error) error {
	now := chat.MicrosOf(time.Now())
	if _, err := a.BeginErase(ctx, uid, now); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	if err := told(); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	if err := a.EraseContent(ctx, uid); err != nil {
		return fmt.Errorf("erase %s: %w", uid, err)
	}
	return a.FinishErase(ctx, uid, now)
}

// tokenLife is as long as that of Firebase's ID tokens.
const tokenLife = time.Hour

// Token returns an ID token for uid, unsigned, as the Auth emulator makes them.
func (a *Archive) Token(uid string) (string, time.Time, error) {
	now := time.Now().Add(-5 * time.Second)
	ends := now.Add(tokenLife)
	t := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + a.project, "aud": a.project, "sub": uid,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": ends.Unix(), "email": uid + "@example.org",
	})
	token, err := t.SignedString(jwt.UnsafeAllowNoneSignatureType)
	return token, ends, err
}
