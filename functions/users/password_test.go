package users

import "testing"

// TestAPasswordHasOneForm shows that a password with a combining accent is the one with the composed letter, which the
// client sends at every sign-in.
func TestAPasswordHasOneForm(t *testing.T) {
	form := Signup{Email: "ada@example.org", Username: "ada", DisplayName: "Ada", Password: "cafe\u0301 au lait"}
	got, err := form.check()
	if err != nil || got.Password != "caf\u00e9 au lait" {
		t.Errorf("the password is %q, %v", got.Password, err)
	}
}
