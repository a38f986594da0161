package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/pubsubstub"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/gate/gatefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/publish"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// Names of the files in Options.Data.
const (
	storeFile             = "store.db"
	accountsFile          = "accounts.db"
	firestoreAccountsFile = "accounts-firestore.db" // accounts of the users in a running Firestore emulator
	pushFile              = "push.json"             // key pair of pushes
)

// Files lists the files that a stack keeps in its data folder.
var Files = []string{storeFile, accountsFile, firestoreAccountsFile, pushFile}

// startBackends starts Redis and the emulators, or uses the running ones that the options name.
func (s *Stack) startBackends(ctx context.Context) error {
	s.RedisAddr, s.FirestoreAddr, s.PubSubAddr = s.options.Redis, s.options.Firestore, s.options.PubSub
	if s.options.Emulators {
		for _, p := range []struct {
			addr  *string
			start func(context.Context) (*emulators.Server, error)
		}{
			{&s.RedisAddr, emulators.Redis},
			{&s.FirestoreAddr, emulators.Firestore},
			{&s.PubSubAddr, emulators.PubSub},
		} {
			if *p.addr != "" {
				continue
			}
			e, err := p.start(ctx)
			if err != nil {
				return err
			}
			*p.addr = e.Addr
			s.onClose("emulator", func(context.Context) error { e.Stop(); return nil })
		}
	}
	if s.RedisAddr == "" {
		return s.startMiniredis()
	}
	if err := emulators.RedisAnswers(ctx, s.RedisAddr); err != nil {
		return fmt.Errorf("no Redis answers at %s: %w", s.RedisAddr, err)
	}
	return nil
}

func (s *Stack) startMiniredis() error {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return fmt.Errorf("start miniredis: %w", err)
	}
	s.RedisAddr = m.Addr()
	stop := make(chan struct{})
	s.background.Go(func() { // miniredis expires keys only in FastForward
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	s.onClose("miniredis", func(context.Context) error { close(stop); m.Close(); return nil })
	return nil
}

// data has the parts that store accounts, messages and dead letters.
type data struct {
	store       store.Store
	gates       gate.Source
	archive     inbox.Archive
	publisher   settle.Publisher
	notifier    settle.Publisher // of events for notify
	deadLetters deadletter.Putter
	collector   deadletter.Collector
	replayer    deadletter.Replayer // nil if persist replays them itself
	auth        http.Handler        // nil if a Firebase Auth emulator is used
	pushKeys    push.Keys
}

// startData opens the accounts, which are served at hosts, the store, and the queue from the realtime instances to the
// store.
func (s *Stack) startData(ctx context.Context, f *front, hosts []string) (*data, error) {
	folder := s.options.Data
	// A Firestore emulator that this stack starts loses its users when it ends, so their accounts must be temporary too.
	ownFirestore := s.FirestoreAddr != "" && s.options.Firestore == ""
	if folder == "" || ownFirestore {
		var err error
		if folder, err = os.MkdirTemp("", "phoenix-stack-"); err != nil {
			return nil, err
		}
		s.onClose("temporary data", func(context.Context) error { return os.RemoveAll(folder) })
	}
	accounts := accountsFile
	if s.FirestoreAddr != "" {
		accounts = firestoreAccountsFile
	}
	d := &data{pushKeys: push.NewFileKeys(filepath.Join(folder, pushFile))}
	if err := s.openAccounts(d, filepath.Join(folder, accounts), hosts); err != nil {
		return nil, err
	}
	if err := s.openStore(ctx, d, filepath.Join(folder, storeFile)); err != nil {
		return nil, err
	}
	return d, s.openQueues(ctx, d, s.URL+f.pushPath, s.URL+f.notifyPath)
}

// openAccounts opens the stand-in for Firebase Auth, unless the options name a running emulator.
func (s *Stack) openAccounts(d *data, path string, hosts []string) error {
	if s.AuthAddr = s.options.Auth; s.AuthAddr != "" {
		return nil
	}
	stub, err := authstub.Open(authstub.Options{Project: s.Project, Path: path, Mail: s.options.Mail,
		Code: s.options.Code, Hosts: hosts, Logger: s.log})
	if err != nil {
		return err
	}
	s.onClose("accounts", func(context.Context) error { return stub.Close() })
	d.auth = stub
	s.AuthAddr = strings.TrimPrefix(s.URL, "http://")
	return nil
}

// openStore connects to the Firestore emulator if there is one, and opens the embedded store otherwise.
func (s *Stack) openStore(ctx context.Context, d *data, path string) error {
	if s.FirestoreAddr == "" {
		b, err := storebolt.Open(path, storebolt.Options{})
		if err != nil {
			return err
		}
		s.onClose("store", func(context.Context) error { return b.Close() })
		d.store, d.gates, d.archive = b, storeGates{b}, b
		return nil
	}
	f, err := storefirestore.Open(ctx, storefirestore.Options{Project: s.Project, EmulatorHost: s.FirestoreAddr})
	if err != nil {
		return err
	}
	s.onClose("store", func(context.Context) error { return f.Close() })
	c, err := emulators.FirestoreClient(ctx, s.FirestoreAddr, s.Project)
	if err != nil {
		return err
	}
	s.onClose("Firestore client", func(context.Context) error { return c.Close() })
	d.store, d.gates, d.archive = f, gatefirestore.New(c), gatefirestore.NewArchive(c)
	return nil
}

// openQueues creates the queues that carry acknowledged messages to persist, and events to notify: the Pub/Sub emulator
// if there is one, otherwise a direct push.
func (s *Stack) openQueues(ctx context.Context, d *data, endpoint, notify string) error {
	if s.PubSubAddr == "" {
		local := deadletter.Local{Store: d.store}
		p := pubsubstub.New(endpoint, s.log)
		s.onClose("push", func(context.Context) error { p.Close(); return nil })
		d.publisher, d.deadLetters, d.collector = p, local, local
		n := newDetached(pubsubstub.New(notify, s.log))
		s.onClose("notifications", func(context.Context) error { n.close(); return nil })
		d.notifier = n
		return nil
	}
	c, err := emulators.PubSubClient(ctx, s.PubSubAddr, s.Project)
	if err != nil {
		return err
	}
	s.onClose("Pub/Sub client", func(context.Context) error { return c.Close() })
	if err := emulators.CreateTopics(ctx, c, endpoint, notify); err != nil {
		return err
	}
	p := publish.NewPubSub(c, emulators.Topic)
	s.onClose("publisher", func(context.Context) error { p.Close(); return nil })
	n := publish.NewPubSub(c, emulators.NotifyTopic)
	s.onClose("notifications", func(context.Context) error { n.Close(); return nil })
	d.notifier = n
	deadLetters, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{
		Project: s.Project, DeadTopic: emulators.DeadTopic, Subscription: emulators.DeadSubscription,
		AcksTopic: emulators.Topic, Store: d.store, EmulatorHost: s.PubSubAddr,
	})
	if err != nil {
		return err
	}
	s.onClose("dead letters", func(context.Context) error { return deadLetters.Close() })
	d.publisher, d.deadLetters, d.collector, d.replayer = p, deadLetters, deadLetters, deadLetters
	return nil
}

// storeGates reads gates from the embedded store.
type storeGates struct{ users store.Users }

// Gate implements gate.Source.
func (g storeGates) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	u, err := g.users.User(ctx, uid)
	if errors.Is(err, problem.ErrNotFound) {
		return gate.Gate{}, nil
	}
	if err != nil {
		return gate.Gate{}, err
	}
	out := gate.Gate{Exists: true, Disabled: !u.Active(), Blocked: u.Blocked, Push: u.Push, Privacy: u.Privacy,
		Unverified: !u.EmailVerified}
	if u.ValidAfter > 0 {
		out.ValidAfter = u.ValidAfter.Time()
	}
	if u.LimitedUntil > 0 {
		out.LimitedUntil = u.LimitedUntil.Time()
	}
	for _, t := range u.Ended {
		out.Ended = append(out.Ended, t.Time())
	}
	for _, t := range u.SignedOut {
		out.SignedOut = append(out.SignedOut, t.Time())
	}
	return out, nil
}
