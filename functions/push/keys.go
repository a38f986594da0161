package push

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/secretmanager/v1"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Pair is our key pair (VAPID, RFC 8292). A browser subscribes with the public key, and its push service then accepts
// only what the private key has signed.
type Pair struct {
	Public  string `json:"public"`  // base64url, a point of the curve P-256
	Private string `json:"private"` // base64url
}

// LogValue hides the private key.
func (p Pair) LogValue() slog.Value { return slog.StringValue(p.Public) }

// Keys returns our key pair.
type Keys interface {
	// Pair returns the key pair, which it creates if there is none yet. All callers get the same one, also if several
	// instances create one at the same time. If it cannot be read, the error is problem.ErrUnavailable. It is safe for
	// concurrent use.
	Pair(ctx context.Context) (Pair, error)
}

// newPair returns a new pair in the form in which it is stored.
func newPair() ([]byte, error) {
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Pair{Public: base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes()),
		Private: base64.RawURLEncoding.EncodeToString(k.Bytes())})
}

// readPair reads a stored pair, and checks that its halves belong together.
func readPair(data []byte) (p Pair, err error) {
	if err = json.Unmarshal(data, &p); err != nil {
		return Pair{}, errors.New("the push key is damaged") // err may have a part of the key
	}
	private, err := base64.RawURLEncoding.DecodeString(p.Private)
	if err != nil {
		return Pair{}, errors.New("the push key is damaged")
	}
	k, err := ecdh.P256().NewPrivateKey(private)
	if err != nil || base64.RawURLEncoding.EncodeToString(k.PublicKey().Bytes()) != p.Public {
		return Pair{}, errors.New("the push key is damaged")
	}
	return p, nil
}

// kept keeps a pair once it was read.
type kept struct {
	mu   sync.Mutex
	pair Pair
}

// get returns the pair. It calls read until that has succeeded once.
func (k *kept) get(read func() ([]byte, error)) (Pair, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pair != (Pair{}) {
		return k.pair, nil
	}
	data, err := read()
	if err == nil {
		k.pair, err = readPair(data)
	}
	if err != nil {
		return Pair{}, problem.ErrUnavailable.WithCause(fmt.Errorf("push key: %w", err))
	}
	return k.pair, nil
}

// FileKeys keeps the pair in a file.
type FileKeys struct {
	path string
	kept kept
}

// NewFileKeys returns the pair in a file, which is created on first use.
func NewFileKeys(path string) *FileKeys { return &FileKeys{path: path} }

// Pair implements Keys.
func (f *FileKeys) Pair(context.Context) (Pair, error) {
	return f.kept.get(func() ([]byte, error) {
		data, err := os.ReadFile(f.path)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		if err := f.create(); err != nil {
			return nil, err
		}
		return os.ReadFile(f.path)
	})
}

// create writes a new pair unless the file exists. The file appears with its whole content, so nobody reads half a
// pair, and of several processes only one creates it.
func (f *FileKeys) create() error {
	data, err := newPair()
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*") // readable for its owner only
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(data)
	err = errors.Join(err, t.Sync(), t.Close())
	if err != nil {
		return err
	}
	if err := os.Link(t.Name(), f.path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// SecretKeys keeps the pair in a secret of Secret Manager. Terraform creates the secret without a version, so that the
// pair never is in Terraform's state.
type SecretKeys struct {
	secret   string // projects/…/secrets/…
	versions *secretmanager.ProjectsSecretsVersionsService
	secrets  *secretmanager.ProjectsSecretsService
	kept     kept
}

// NewSecretKeys returns the pair in a secret of the project. The options are for tests.
func NewSecretKeys(ctx context.Context, project, secret string, opts ...option.ClientOption) (*SecretKeys, error) {
	s, err := secretmanager.NewService(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("secret manager: %w", err)
	}
	return &SecretKeys{secret: "projects/" + project + "/secrets/" + secret, versions: s.Projects.Secrets.Versions,
		secrets: s.Projects.Secrets}, nil
}

// firstVersion is the version that has the pair. Versions are numbered from 1. Several instances that find none each
// add one, and read this one afterwards.
const firstVersion = "/versions/1"

// Pair implements Keys.
func (s *SecretKeys) Pair(ctx context.Context) (Pair, error) {
	return s.kept.get(func() ([]byte, error) {
		data, err := s.access(ctx)
		var answer *googleapi.Error
		if !errors.As(err, &answer) || answer.Code != http.StatusNotFound {
			return data, err
		}
		made, err := newPair()
		if err != nil {
			return nil, err
		}
		_, err = s.secrets.AddVersion(s.secret, &secretmanager.AddSecretVersionRequest{
			Payload: &secretmanager.SecretPayload{Data: base64.StdEncoding.EncodeToString(made)},
		}).Context(ctx).Do()
		if err != nil {
			return nil, fmt.Errorf("add a version: %w", err)
		}
		return s.access(ctx)
	})
}

func (s *SecretKeys) access(ctx context.Context) ([]byte, error) {
	v, err := s.versions.Access(s.secret + firstVersion).Context(ctx).Do()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", firstVersion, err)
	}
	return base64.StdEncoding.DecodeString(v.Payload.Data)
}
