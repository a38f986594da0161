package storefirestore

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	vkit "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/uuid"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// meter counts the operations that Firestore would bill.
type meter struct {
	mu            sync.Mutex
	writes, reads int
	other         []string
	beforeBatch   func() // called before each batch of writes; nil: not
}

func (m *meter) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker,
	opts ...grpc.CallOption) error {
	m.mu.Lock()
	switch r := req.(type) {
	case *firestorepb.BatchWriteRequest:
		m.writes += len(r.Writes)
	case *firestorepb.CommitRequest:
		m.writes += len(r.Writes)
	default:
		m.other = append(m.other, method)
	}
	m.mu.Unlock()
	if _, ok := req.(*firestorepb.BatchWriteRequest); ok && m.beforeBatch != nil {
		m.beforeBatch()
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (m *meter) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(ctx, desc, cc, method, opts...)
	return meteredStream{s, m}, err
}

type meteredStream struct {
	grpc.ClientStream
	m *meter
}

func (s meteredStream) RecvMsg(v any) error {
	err := s.ClientStream.RecvMsg(v)
	if err == nil {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		switch r := v.(type) {
		case *firestorepb.RunQueryResponse:
			if r.Document != nil {
				s.m.reads++
			}
		case *firestorepb.BatchGetDocumentsResponse, *firestorepb.RunAggregationQueryResponse:
			s.m.reads++
		}
	}
	return err
}

// metered returns a store over an empty database, and the meter of its operations.
func metered(t *testing.T) (*Store, *meter) {
	t.Helper()
	m := &meter{}
	conn, err := grpc.NewClient("passthrough:///"+emulator(t), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(owner{}),
		grpc.WithUnaryInterceptor(m.unary), grpc.WithStreamInterceptor(m.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		t.Fatal(err)
	}
	project := "c" + uuid.NewString()[:8]
	s := &Store{root: "projects/" + project + "/databases/(default)", conn: conn}
	if s.client, err = firestore.NewClient(t.Context(), project, option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	if s.raw, err = vkit.NewClient(t.Context(), option.WithGRPCConn(conn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, m
}

// Saving costs at most 2 writes per message, fewer if a flush has several messages, and does not read.
func TestCostOfMessage(t *testing.T) {
	for _, tt := range []struct {
		perFlush int
		most     float64
	}{{1, 2}, {2, 1.5}, {10, 1.1}} {
		t.Run(fmt.Sprintf("%d_in_a_flush", tt.perFlush), func(t *testing.T) {
			s, m := metered(t)
			const n = 20
			for i := 0; i < n; i += tt.perFlush {
				var ds []delivery.Delivered
				var rs []delivery.Read
				for j := range tt.perFlush {
					at := chat.MicrosOf(time.Now()) + chat.Micros(i+j)
					ds = append(ds, delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(),
						Conversation: "ada~bob", From: "ada", To: "bob",
						Body: "hi", At: at, AcceptedAt: at}, DeliveredAt: at})
					rs = append(rs, delivery.Read{Conversation: "ada~bob", By: "bob", At: at})
				}
				if _, err := s.Save(t.Context(), ds, rs); err != nil {
					t.Fatal(err)
				}
			}
			if per := float64(m.writes) / n; per > tt.most || m.reads != 0 || len(m.other) != 0 {
				t.Errorf("%.2f writes per message, want at most %.2f; %d reads, want 0; other calls %v", per, tt.most, m.reads,
					m.other)
			}
		})
	}
}

// Listing costs one read per conversation, one more if it has unread messages, and one more if its preview was
// overwritten.
func TestCostOfList(t *testing.T) {
	s, m := metered(t)
	save := func(to string, at chat.Micros, read chat.Micros) {
		t.Helper()
		d := delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(),
			Conversation: chat.ConversationID("ada", to), From: "ada", To: to,
			Body: fmt.Sprint(at), At: at, AcceptedAt: at}, DeliveredAt: at}
		if _, err := s.Save(t.Context(), []delivery.Delivered{d},
			[]delivery.Read{{Conversation: d.Conversation, By: to, At: read}}); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(uid string) ([]store.Listed, int) {
		t.Helper()
		m.mu.Lock()
		m.reads = 0
		m.mu.Unlock()
		list, _, err := s.Conversations(t.Context(), uid, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return list, m.reads
	}
	save("bob", 100, 100)
	if _, n := reads("bob"); n != 1 {
		t.Errorf("a conversation without unread messages costs %d reads, want 1", n)
	}
	save("cyd", 100, 50)
	if list, n := reads("cyd"); n != 2 || list[0].Unread != 1 {
		t.Errorf("a conversation with unread messages costs %d reads, want 2: %+v", n, list)
	}
	save("dan", 100, 100)
	save("dan", 90, 100) // arrives late and overwrites the preview
	if list, n := reads("dan"); n != 2 || list[0].Preview.Text != "100" {
		t.Errorf("a conversation with an overwritten preview costs %d reads, want 2: %+v", n, list)
	}
}

// A limit costs a read and a write while something is left of it, and only a read from then on.
func TestCostOfLimit(t *testing.T) {
	s, m := metered(t)
	now := chat.MicrosOf(time.Now())
	for i, want := range []struct{ taken, reads, writes int }{{3, 1, 1}, {1, 1, 1}, {0, 1, 0}, {0, 1, 0}} {
		m.mu.Lock()
		m.reads, m.writes = 0, 0
		m.mu.Unlock()
		taken, _, err := s.Take(t.Context(), "key", 3, 4, time.Hour, now)
		if err != nil || int(taken) != want.taken || m.reads != want.reads || m.writes != want.writes {
			t.Errorf("call %d takes %d with %d reads and %d writes (%v), want %+v", i, taken, m.reads, m.writes, err, want)
		}
	}
}
