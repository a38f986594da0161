package cost

// Assumptions about the audit log.
const (
	auditEntries  = 0.05 // for each daily user in a month
	auditBytes    = 1e3  // of an entry, in its database and in the log bucket
	auditLogYears = 400.0 / 365
)

// audit returns the line of the audit log: its database, and the copies in its log bucket. The database grows like the
// other one. The log bucket reaches its size after audit_log_days.
func (s Size) audit() Line {
	const gib = 1 << 30
	entries := s.DailyUsers * auditEntries
	bucket := entries * auditBytes / gib * 12 * auditLogYears
	return Line{
		Name:    "audit log",
		Dollars: entries*WriteDollars + entries*auditBytes/gib*logs.Dollars + bucket*kept.Dollars,
		Growth:  entries * auditBytes / gib * (stored.Dollars + history.Dollars + backupsKept*backup.Dollars),
	}
}
