package push

import (
	"context"
	"net/http"
	"time"
)

// Control checks an address as the sender does when it connects.
func (s Services) Control(address string) error { return s.control("tcp", address, nil) }

// Dial connects to an address as the sender does, and closes the connection.
func (s *Sender) Dial(ctx context.Context, address string) error {
	c, err := s.client.Transport.(*http.Transport).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// SetTimeout replaces SendTime.
func (s *Sender) SetTimeout(d time.Duration) { s.timeout = d }
