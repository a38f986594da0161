// Package sink is the end of the way of a message in a load test: a stand-in for Pub/Sub that runs as a process of its
// own, so that its CPU time can be told apart. It counts what realtime publishes, and on request saves it with the
// persist function.
package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/infra/pubsubstub"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Options configure a sink.
type Options struct {
	Publish string `json:"publish"` // host:port of the gRPC service to which realtime publishes
	Counts  string `json:"counts"`  // host:port at which GET / answers with the Counts
	Store   string `json:"store"`   // folder in which persist saves the messages; "": they are only counted
}

// Counts has the totals since the start.
type Counts struct {
	Publishes int64 `json:"publishes"` // Pub/Sub messages
	Messages  int64 `json:"messages"`  // different messages in them
	Again     int64 `json:"again"`     // further entries of messages that were published before
	Reads     int64 `json:"reads"`     // read marks
	Bad       int64 `json:"bad"`       // Pub/Sub messages and entries that cannot be read
}

// service implements the part of Pub/Sub that realtime uses.
type service struct {
	pubsubpb.UnimplementedPublisherServer
	persist http.Handler // nil: messages are only counted
	seed    maphash.Seed

	mu     sync.Mutex
	seen   map[uint64]struct{} // hashes of the keys of messages; guarded by mu
	counts Counts              // guarded by mu
}

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	s := &service{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	if o.Store != "" {
		db, err := storebolt.Open(filepath.Join(o.Store, "sink.db"), storebolt.Options{NoSync: true})
		if err != nil {
			return err
		}
		defer db.Close()
		s.persist = persist.New(persist.Deps{Store: db, DeadLetters: deadletter.Local{Store: db},
			Realtime: noCorrections{}, Log: slog.Default()})
	}
	publish, err := net.Listen("tcp", o.Publish)
	if err != nil {
		return err
	}
	counts, err := net.Listen("tcp", o.Counts)
	if err != nil {
		publish.Close()
		return err
	}
	queue := grpc.NewServer()
	pubsubpb.RegisterPublisherServer(queue, s)
	web := &http.Server{Handler: http.HandlerFunc(s.report)}
	defer context.AfterFunc(ctx, func() { queue.Stop(); web.Close() })()
	served := make(chan error, 1)
	go func() { served <- web.Serve(counts) }()
	err = queue.Serve(publish)
	web.Close()
	if webErr := <-served; !errors.Is(webErr, http.ErrServerClosed) {
		err = errors.Join(err, webErr)
	}
	return err
}

// noCorrections is the realtime service as persist sees it. No message of a load test uses an id again.
type noCorrections struct{}

func (noCorrections) Corrected(context.Context, []delivery.Delivered) error {
	return errors.New("a message of the load test was corrected")
}

func (noCorrections) OwnProfileChanged(context.Context, string) error { return nil }

func (s *service) report(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	counts := s.counts
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(counts) // an error means that the caller has disconnected
}

// GetTopic implements pubsubpb.PublisherServer. Every topic exists.
func (s *service) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	return &pubsubpb.Topic{Name: r.Topic}, nil
}

// Publish implements pubsubpb.PublisherServer.
func (s *service) Publish(ctx context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	answer := &pubsubpb.PublishResponse{}
	for _, m := range r.Messages {
		id := strconv.FormatInt(s.count(m.Data), 10)
		if err := s.save(ctx, id, m.Data); err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		answer.MessageIds = append(answer.MessageIds, id)
	}
	return answer, nil
}

// count counts the entries of a Pub/Sub message, and returns its number.
func (s *service) count(data []byte) (number int64) {
	batch, err := delivery.Decode(data)
	keys := make([]uint64, 0, len(batch.Delivered))
	bad := int64(0)
	if err != nil {
		bad++
	}
	for _, entry := range batch.Delivered {
		d, err := delivery.DecodeDelivered(entry)
		if err != nil {
			bad++
			continue
		}
		keys = append(keys, maphash.String(s.seed, d.Key()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counts
	c.Publishes++
	c.Bad += bad
	c.Reads += int64(len(batch.Read))
	for _, key := range keys {
		if _, again := s.seen[key]; again {
			c.Again++
			continue
		}
		s.seen[key] = struct{}{}
		c.Messages++
	}
	return c.Publishes
}

// save calls the persist function, as a push subscription does.
func (s *service) save(ctx context.Context, id string, data []byte) error {
	if s.persist == nil {
		return nil
	}
	body, err := pubsubstub.Body("projects/load/subscriptions/delivery-acks-persist", id, data)
	if err != nil {
		return err
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.persist.ServeHTTP(w, r)
	if w.Code/100 != 2 {
		return fmt.Errorf("persist answered %d", w.Code)
	}
	return nil
}
