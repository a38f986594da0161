package pubsubevent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// Serve converts pushes as functions-framework does, and refuses the same ones.
func TestConvertLikeFramework(t *testing.T) {
	events := make(chan event.Event, 1)
	err := funcframework.RegisterCloudEventFunctionContext(t.Context(), "/capture",
		func(_ context.Context, e event.Event) error {
			events <- e
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	// The framework cannot be stopped. It ends with the process of the test.
	go funcframework.StartHostPort("127.0.0.1", port)
	address := "http://127.0.0.1:" + port + "/capture"
	testwait.Listening(t, "127.0.0.1:"+port)
	for _, body := range []string{
		`{"subscription":"projects/p/subscriptions/s","message":{"data":"aGVsbG8=","attributes":{"a":"b"},` +
			`"messageId":"1","message_id":"1",` +
			`"publishTime":"2026-03-01T12:00:00.123456Z","publish_time":"2026-03-01T12:00:00.123456Z"}}`,
		`{"message":{"data":"aGVsbG8=","messageId":"2","publishTime":"2026-03-01T12:00:00Z"}}`,
		`{"message":{"messageId":"3","publishTime":"2026-03-01T12:00:00Z","attributes":{}}}`,
		`{"message":{"data":"","messageId":"4","publishTime":"2026-03-01T12:00:00Z","orderingKey":"k"},"deliveryAttempt":5}`,
		`{"message":{"data":"%%","messageId":"5"}}`,
		`{"message":{"data":7,"messageId":"5"}}`,
		`{"message":{"data":"aGVsbG8="}}`,
		`{"message":{}}`, `{}`, ``, `x`, `[]`, `null`,
	} {
		resp, err := http.Post(address, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		ours, err := convert([]byte(body), time.Now())
		if resp.StatusCode != http.StatusOK {
			if err == nil {
				t.Errorf("%q: the framework refuses it with %d, convert does not", body, resp.StatusCode)
			}
			continue
		}
		theirs := <-events
		if err != nil {
			t.Errorf("%q: convert refuses it, the framework does not: %v", body, err)
			continue
		}
		var a, b any
		if json.Unmarshal(ours.Data(), &a) != nil || json.Unmarshal(theirs.Data(), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%q: convert makes the data\n%s, the framework\n%s", body, ours.Data(), theirs.Data())
		}
		if ours.ID() != theirs.ID() || ours.Type() != theirs.Type() || ours.Source() != theirs.Source() ||
			!ours.Time().Equal(theirs.Time()) ||
			ours.DataContentType() != theirs.DataContentType() ||
			fmt.Sprint(ours.Extensions()) != fmt.Sprint(theirs.Extensions()) {
			t.Errorf("%q: convert makes the event\n%v, the framework\n%v", body, ours, theirs)
		}
		x, err1 := Of(ours)
		y, err2 := Of(theirs)
		if err1 != nil || err2 != nil || x.ID != y.ID || !bytes.Equal(x.Data, y.Data) {
			t.Errorf("%q: messages %v (%v) and %v (%v), want the same", body, x, err1, y, err2)
		}
	}
}
