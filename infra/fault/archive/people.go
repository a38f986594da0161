package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Enrol makes n people and returns their uids.
func (a *Archive) Enrol(ctx context.Context, n int) ([]string, error) {
	var uids []string
	now := chat.MicrosOf(time.Now())
	for i := range n {
		uid := fmt.Sprintf("person%05d", i+1)
		email := uid + "@example.org"
		sign, err := a.Reserve(ctx, email, uid, uid, uid, now, time.Minute)
		if err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		u := store.User{UID: sign.UID, Username: uid, DisplayName: fmt.Sprintf("Person %d", i+1), Email: email, CreatedAt: now}
		if err := a.Commit(ctx, sign, u); err != nil {
			return nil, fmt.Errorf("enrol %s: %w", uid, err)
		}
		uids = append(uids, sign.UID)
	}
	return uids, nil
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
