// Command away puts messages into the inbox of a user who is away, for away.measure.ts:
//
//	go run ./web/measure/away -redis ADDR -to UID -each 10 < uids
//
// Every user whose uid is a line of the input has written that many messages, evenly over the last 29 days. The limits
// of senders do not apply.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
)

const away = 29 * 24 * time.Hour

func main() {
	addr := flag.String("redis", "", "`host:port` of the Redis of the running system")
	to := flag.String("to", "", "`uid` of the recipient")
	each := flag.Int("each", 10, "messages of each sender")
	flag.Parse()
	if err := run(context.Background(), *addr, *to, *each); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, to string, each int) error {
	var senders []string
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		senders = append(senders, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the senders: %w", err)
	}
	rdb := redis.NewUniversalClient(inbox.Tune(&redis.UniversalOptions{Addrs: []string{addr}}))
	defer rdb.Close()
	boxes := inbox.New(rdb, inbox.Options{Subscriber: redissub.New(rdb, redissub.Options{}), Limits: inbox.Generous()})
	total := each * len(senders)
	for i := range total {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		from := senders[i%len(senders)]
		written := time.Now().Add(-away / time.Duration(total) * time.Duration(total-i))
		m := chat.Message{ID: id.String(), Conversation: chat.ConversationID(from, to), From: from, To: to,
			Body: fmt.Sprintf("message %d of %d", i/len(senders)+1, each), At: chat.MicrosOf(written)}
		if _, err := boxes.Enqueue(ctx, m); err != nil {
			return fmt.Errorf("enqueue message %d: %w", i+1, err)
		}
	}
	return nil
}
