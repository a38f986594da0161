package operator

import (
	"context"
	"encoding/json"
	"fmt"

	logging "google.golang.org/api/logging/v2"
	"google.golang.org/api/option"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// auditLogID is the log in Cloud Logging to which commands write. A sink copies it into the log bucket of the audit log
// (infra/terraform/audit.tf).
const auditLogID = "chat-audit"

// CloudRecorder returns a Deps.Record that writes entries of the audit log to Cloud Logging, as the admin function does
// through its output. It needs the role Logs Writer. With an emulator of Firestore it returns nil: there are no logs.
func CloudRecorder(ctx context.Context, project, emulator string, opts ...option.ClientOption) (
	func(context.Context, store.Audit) error, error) {
	if emulator != "" {
		return nil, nil
	}
	service, err := logging.NewService(ctx, append([]option.ClientOption{option.WithQuotaProject(project)}, opts...)...)
	if err != nil {
		return nil, Unreachable("Cloud Logging", err)
	}
	return func(ctx context.Context, entry store.Audit) error {
		payload, err := json.Marshal(map[string]any{"message": "entry of the audit log", store.AuditKey: entry})
		if err != nil {
			return fmt.Errorf("audit entry: %w", err)
		}
		_, err = service.Entries.Write(&logging.WriteLogEntriesRequest{
			LogName:  "projects/" + project + "/logs/" + auditLogID,
			Resource: &logging.MonitoredResource{Type: "global", Labels: map[string]string{"project_id": project}},
			Entries:  []*logging.LogEntry{{InsertId: entry.ID, Severity: "INFO", JsonPayload: payload}},
		}).Context(ctx).Do()
		if err != nil {
			return fmt.Errorf("write the audit entry to Cloud Logging: %w", err)
		}
		return nil
	}, nil
}
