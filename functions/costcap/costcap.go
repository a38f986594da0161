// Package costcap switches the chat off when it has cost too much. It handles the notifications of the budget, which
// Cloud Billing publishes to Pub/Sub several times a day, hours after the costs arose. It is deployed only with
// cost_cap_percent (infra/terraform/cap.tf).
//
// A service is switched off by manual scaling at 0 instances: it answers nothing and costs nothing, and no data is
// lost. Messages that wait stay in Redis and in the outboxes of devices. persist keeps running, so that what was
// acknowledged is still saved. An operator switches the chat on again (infra/RUNBOOK.md, "Cost cap").
package costcap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/api/option"
	"google.golang.org/api/run/v2"
)

// Options are the settings of New.
type Options struct {
	Project  string
	Region   string
	Services []string // names of the Cloud Run services to switch off
	Percent  int      // of the budget; 0: the cap is off, and notifications are only logged
	Log      *slog.Logger

	Client []option.ClientOption // for tests
}

// Cap handles notifications of a budget. It is safe for concurrent use.
type Cap struct {
	o   Options
	run *run.ProjectsLocationsServicesService
}

// New returns a Cap.
func New(ctx context.Context, o Options) (*Cap, error) {
	s, err := run.NewService(ctx, o.Client...)
	if err != nil {
		return nil, fmt.Errorf("cloud run: %w", err)
	}
	return &Cap{o, s.Projects.Locations.Services}, nil
}

// notification is the data of a notification.
// https://cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications
type notification struct {
	Cost     float64 `json:"costAmount"`   // since CostIntervalStart
	Budget   float64 `json:"budgetAmount"` // of the month
	Currency string  `json:"currencyCode"`
	Since    string  `json:"costIntervalStart"`
}

// manual is the scaling mode in which the number of instances is fixed.
const manual = "MANUAL"

// Handle handles a Pub/Sub message with a notification, as functions-framework makes it of a push. It switches all
// services off if the costs of the month are at least the cap. It may be repeated. An error is transient: Pub/Sub
// delivers the notification again. A message that is not a notification is logged and dropped.
func (c *Cap) Handle(ctx context.Context, e event.Event) error {
	var d struct {
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
	}
	var n notification
	err := json.Unmarshal(e.Data(), &d)
	if err == nil {
		err = json.Unmarshal(d.Message.Data, &n)
	}
	if err != nil || n.Budget <= 0 {
		c.o.Log.ErrorContext(ctx, "not a notification of a budget", "error", err)
		return nil
	}
	reached := c.o.Percent > 0 && n.Cost*100 >= n.Budget*float64(c.o.Percent)
	c.o.Log.InfoContext(ctx, "costs of the month", "cost", n.Cost, "budget", n.Budget, "currency", n.Currency,
		"since", n.Since, "cap_percent", c.o.Percent, "reached", reached)
	if !reached {
		return nil
	}
	var errs []error
	for _, name := range c.o.Services {
		if err := c.switchOff(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("switch off %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// switchOff sets the scaling of a service to 0 instances, unless it has no more.
func (c *Cap) switchOff(ctx context.Context, name string) error {
	path := "projects/" + c.o.Project + "/locations/" + c.o.Region + "/services/" + name
	s, err := c.run.Get(path).Context(ctx).Do()
	if err != nil {
		return err
	}
	if s.Scaling != nil && s.Scaling.ScalingMode == manual && s.Scaling.ManualInstanceCount == 0 {
		return nil
	}
	off := &run.GoogleCloudRunV2Service{Scaling: &run.GoogleCloudRunV2ServiceScaling{ScalingMode: manual,
		ForceSendFields: []string{"ManualInstanceCount"}}}
	mask := "scaling.scalingMode,scaling.manualInstanceCount"
	if _, err := c.run.Patch(path, off).UpdateMask(mask).Context(ctx).Do(); err != nil {
		return err
	}
	c.o.Log.ErrorContext(ctx, "the cost cap is reached, and the service is switched off", "service", name)
	return nil
}
