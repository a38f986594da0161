# The audit log: what admins and operators did. It is in a database of its own, because a condition in IAM selects a
# database and not a collection. Of all services, only the function admin has access to it, and that function can read
# and append, but not change or delete. A log bucket has a second copy, which not even admin can reach.

resource "google_firestore_database" "audit" {
  name        = "audit"
  location_id = google_firestore_database.this.location_id
  type        = "FIRESTORE_NATIVE"

  concurrency_mode            = "OPTIMISTIC"
  app_engine_integration_mode = "DISABLED"

  # As the other database.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"

  delete_protection_state = var.protect ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = local.deletion_policy

  depends_on = [time_sleep.apis]
}

resource "google_firestore_backup_schedule" "audit" {
  database  = google_firestore_database.audit.name
  retention = google_firestore_backup_schedule.weekly.retention

  weekly_recurrence {
    day = "SUNDAY"
  }
}

# Browsers do not access it, as in the other database.
resource "google_firebaserules_release" "audit" {
  name         = "cloud.firestore/${google_firestore_database.audit.name}"
  ruleset_name = "projects/${var.project}/rulesets/${google_firebaserules_ruleset.firestore.name}"
}

locals {
  # Conditions for grants on one database. Without a condition, a role on the project applies to all databases.
  only_chat_database = {
    title       = "the chat's database"
    description = "Users, conversations and messages, but not the audit log."
    expression  = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.this.name}\""
  }
  only_audit_database = {
    title       = "the audit log's database"
    description = "Only the audit log."
    expression  = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.audit.name}\""
  }
}

# A deleted role keeps its name, see random_id.accounts_role.
resource "random_id" "audit_role" {
  byte_length = 4
}

resource "google_project_iam_custom_role" "audit" {
  role_id     = "chatAudit_${random_id.audit_role.hex}"
  title       = "Chat: audit log"
  description = "Read the audit log and append to it."
  permissions = [
    "datastore.databases.get",
    "datastore.entities.create",
    "datastore.entities.get",
    "datastore.entities.list",
  ]

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "admin_audit" {
  project = var.project
  role    = google_project_iam_custom_role.audit.id
  member  = module.admin.member

  condition {
    title       = local.only_audit_database.title
    description = local.only_audit_database.description
    expression  = local.only_audit_database.expression
  }
}

# A deleted log bucket keeps its name for 7 days.
resource "random_id" "audit_bucket" {
  byte_length = 4
}

resource "google_logging_project_bucket_config" "audit" {
  project        = var.project
  location       = var.region
  bucket_id      = "chat-audit-${random_id.audit_bucket.hex}"
  description    = "Copies of the entries of the audit log."
  retention_days = var.audit_log_days
  locked         = var.lock_audit_log

  # Google refuses to delete a locked bucket before its last entry has expired. Destroy leaves it behind.
  deletion_policy = var.lock_audit_log ? "ABANDON" : local.deletion_policy

  depends_on = [time_sleep.apis]
}

# The function admin writes the entries to its output, and operators' commands write to the log chat-audit
# (functions/operator). Output of the other functions is left out, so they cannot pretend to be admin. An account that
# may write to Cloud Logging can add entries, but nobody can change or delete one.
resource "google_logging_project_sink" "audit" {
  name        = "chat-audit"
  description = "Entries of the chat's audit log."
  destination = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter = join(" ", [
    "jsonPayload.audit.action:*",
    "AND ((resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.admin.name}\")",
    "OR logName=\"projects/${var.project}/logs/chat-audit\")",
  ])

  # A bucket in the same project needs no grant.
  unique_writer_identity = true
}

output "log_bucket_audit" {
  description = "Log bucket with the copies of the audit log's entries."
  value       = google_logging_project_bucket_config.audit.bucket_id
}
