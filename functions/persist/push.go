package persist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// ServeHTTP handles a Pub/Sub push as functions-framework does, whose handler cannot be mounted elsewhere. (A test
// compares the two.) It answers 200 if Handle returns nil, 500 if Handle returns an error, and 400 if the body is not
// a push.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		http.Error(w, "The body could not be read.", http.StatusBadRequest)
		return
	}
	e, err := convert(body, time.Now())
	if err != nil {
		f.deps.Log.WarnContext(r.Context(), "request is not a push", "error", err)
		http.Error(w, "This is not a push of Pub/Sub.", http.StatusBadRequest)
		return
	}
	if err := f.Handle(r.Context(), e); err != nil {
		f.deps.Log.ErrorContext(r.Context(), "saving failed; Pub/Sub will deliver the message again", "error", err)
		http.Error(w, "Saving failed. Try again.", http.StatusInternalServerError)
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
