# Firestore: users, conversations and delivered messages. The audit log has a database of its own (audit.tf).

resource "google_firestore_database" "this" {
  name        = "(default)"
  location_id = var.firestore_location == "" ? var.region : var.firestore_location
  type        = "FIRESTORE_NATIVE"

  # Persist and the functions write in short transactions. Browsers have no access, so they never hold a lock.
  concurrency_mode            = "OPTIMISTIC"
  app_engine_integration_mode = "DISABLED"

  # The database can be restored to any minute of the last 7 days.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"

  delete_protection_state = var.protect ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = local.deletion_policy

  depends_on = [time_sleep.apis]
}

# For problems that are noticed after more than 7 days.
resource "google_firestore_backup_schedule" "weekly" {
  database  = google_firestore_database.this.name
  retention = "4838400s" # 8 weeks

  weekly_recurrence {
    day = "SUNDAY"
  }
}

# Browsers do not access Firestore. These rules refuse any attempt.
resource "google_firebaserules_ruleset" "firestore" {
  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  # A release refers to its ruleset, so the new ruleset must exist before the old one is deleted.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_firestore_database.this]
}

# Where Firestore was set up in the Firebase console, the release exists, and only an import gets it into the state.
import {
  for_each = var.adopt_firebase_rules ? toset(["release"]) : toset([])
  to       = google_firebaserules_release.firestore
  id       = "projects/${var.project}/releases/cloud.firestore"
}

# A release cannot be changed, so new rules mean a moment without rules. Every client is refused during that time too.
resource "google_firebaserules_release" "firestore" {
  name         = "cloud.firestore"
  ruleset_name = "projects/${var.project}/rulesets/${google_firebaserules_ruleset.firestore.name}"
}

# The indexes are declared next to the queries that need them, in the format of the Firebase tools.
locals {
  firestore_indexes = jsondecode(file("${path.module}/../../functions/store/storefirestore/firestore.indexes.json"))

  # The keys are made from the indexed fields, so that the order in the file does not matter.
  composite_indexes = { for i in local.firestore_indexes.indexes :
    join(" ", concat([i.collectionGroup, lower(i.queryScope)],
    [for f in i.fields : "${f.fieldPath}-${lower(try(f.order, f.arrayConfig))}"])) => i
  }

  # The database of a collection.
  database_of = { audit = google_firestore_database.audit.name }

  field_overrides = { for f in try(local.firestore_indexes.fieldOverrides, []) :
    "${f.collectionGroup}.${f.fieldPath}" => f
  }
}

resource "google_firestore_index" "this" {
  for_each = local.composite_indexes

  database    = lookup(local.database_of, each.value.collectionGroup, google_firestore_database.this.name)
  collection  = each.value.collectionGroup
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
      array_config = try(fields.value.arrayConfig, null)
    }
  }
}

# Indexes of single fields. By default, Firestore indexes every field in ascending and descending order. Fields
# without a query are exempted. An indexed field that only grows would limit its collection to 500 writes per second
# (DESIGN §7).
resource "google_firestore_field" "this" {
  for_each = local.field_overrides

  database   = lookup(local.database_of, each.value.collectionGroup, google_firestore_database.this.name)
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  index_config {
    dynamic "indexes" {
      for_each = try(each.value.indexes, [])
      content {
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
        query_scope  = try(indexes.value.queryScope, "COLLECTION")
      }
    }
  }

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []
    content {}
  }
}
