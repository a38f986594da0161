// Package pubsubevent reads the CloudEvents that functions-framework makes of Pub/Sub pushes. Where the framework does
// not run, because its handler cannot be mounted elsewhere, it makes the same events of the same pushes.
package pubsubevent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Constants of the event that functions-framework makes of a push.
const (
	eventType   = "google.cloud.pubsub.topic.v1.messagePublished"
	messageType = "type.googleapis.com/google.pubusb.v1.PubsubMessage" // spelled as in the framework
)

// maxPush limits the bytes of a push. It is Pub/Sub's limit of 10 MB, in base64, and room for the rest.
const maxPush = 14 << 20

// Message is a Pub/Sub message.
type Message struct {
	ID         string
	Data       []byte
	Attributes map[string]string
}

// Of reads the Pub/Sub message of an event.
func Of(e event.Event) (Message, error) {
	var d struct {
		Message *struct {
			Data       []byte            `json:"data"`
			ID         string            `json:"messageId"`
			SnakeID    string            `json:"message_id"` // Pub/Sub sends both spellings
			Attributes map[string]string `json:"attributes"`
		} `json:"message"`
	}
	if err := json.Unmarshal(e.Data(), &d); err != nil {
		return Message{}, fmt.Errorf("the event's data is not a Pub/Sub message: %w", err)
	}
	if d.Message == nil {
		return Message{}, errors.New("the event's data does not contain a message")
	}
	m := Message{ID: d.Message.ID, Data: d.Message.Data, Attributes: d.Message.Attributes}
	if m.ID == "" {
		m.ID = d.Message.SnakeID
	}
	if m.ID == "" {
		m.ID = e.ID()
	}
	return m, nil
}

// Serve answers a Pub/Sub push as functions-framework does with the function handle. (A test compares the two.) It
// answers 200 if handle returns nil, 500 if handle returns an error, and 400 if the body is not a push.
func Serve(w http.ResponseWriter, r *http.Request, log *slog.Logger,
	handle func(context.Context, event.Event) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		http.Error(w, "The body could not be read.", http.StatusBadRequest)
		return
	}
	e, err := convert(body, time.Now())
	if err != nil {
		log.WarnContext(r.Context(), "request is not a push", "error", err)
		http.Error(w, "This is not a push of Pub/Sub.", http.StatusBadRequest)
		return
	}
	if err := handle(r.Context(), e); err != nil {
		log.ErrorContext(r.Context(), "event failed; Pub/Sub will deliver the message again", "error", err)
		http.Error(w, "The event failed. Try again.", http.StatusInternalServerError)
	}
}

// convert makes an event of the body of a push.
func convert(body []byte, now time.Time) (event.Event, error) {
	var push struct {
		Subscription string `json:"subscription"`
		Message      *struct {
			ID          string            `json:"messageId"`
			Data        []byte            `json:"data"`
			Attributes  map[string]string `json:"attributes"`
			PublishTime time.Time         `json:"publishTime"`
		} `json:"message"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	m := push.Message
	if m == nil {
		return event.Event{}, errors.New("push body: message is missing")
	}
	if m.PublishTime.IsZero() {
		m.PublishTime = now
	}
	e := event.New()
	e.SetID(m.ID)
	e.SetType(eventType)
	e.SetSource("//pubsub.googleapis.com/")
	e.SetTime(m.PublishTime)
	err := e.SetData(event.ApplicationJSON, map[string]any{"message": map[string]any{
		"@type": messageType, "data": m.Data, "attributes": m.Attributes, "publishTime": m.PublishTime, "messageId": m.ID,
	}})
	if err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	if err := e.Validate(); err != nil {
		return event.Event{}, fmt.Errorf("push body: %w", err)
	}
	return e, nil
}
