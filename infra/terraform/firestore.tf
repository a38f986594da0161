# Firestore: people, conversations and the messages that were delivered.

resource "google_firestore_database" "this" {
  name        = "(default)"
  location_id = var.firestore_location == "" ? var.region : var.firestore_location
  type        = "FIRESTORE_NATIVE"

  # Persist and the functions write by optimistic transactions: a browser never locks anything.
  concurrency_mode            = "OPTIMISTIC"
  app_engine_integration_mode = "DISABLED"

  # Any minute of the last 7 days can be restored.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"

  delete_protection_state = var.protect ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = local.deletion_policy

  depends_on = [time_sleep.apis]
}

# For what is noticed after more than 7 days.
resource "google_firestore_backup_schedule" "weekly" {
  database  = google_firestore_database.this.name
  retention = "4838400s" # 8 weeks

  weekly_recurrence {
    day = "SUNDAY"
  }
}

# Browsers never speak to Firestore; these rules say so to whoever tries.
resource "google_firebaserules_ruleset" "firestore" {
  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  # A release names its ruleset, so the new one comes before the old one goes.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_firestore_database.this]
}

# A release cannot be changed, so new rules mean a moment without any: every client is
# refused then, too.
resource "google_firebaserules_release" "firestore" {
  name         = "cloud.firestore"
  ruleset_name = "projects/${var.project}/rulesets/${google_firebaserules_ruleset.firestore.name}"
}

# The indexes stand beside the queries that need them, in the format that Firebase's
# own tools read too.
locals {
  firestore_indexes = jsondecode(file("${path.module}/../../functions/store/storefirestore/firestore.indexes.json"))

  # Named by what they index, so that a change of order in the file changes nothing.
  composite_indexes = { for i in local.firestore_indexes.indexes :
    join(" ", concat([i.collectionGroup, lower(i.queryScope)],
    [for f in i.fields : "${f.fieldPath}-${lower(try(f.order, f.arrayConfig))}"])) => i
  }

  field_overrides = { for f in try(local.firestore_indexes.fieldOverrides, []) :
    "${f.collectionGroup}.${f.fieldPath}" => f
  }
}

resource "google_firestore_index" "this" {
  for_each = local.composite_indexes

  database    = google_firestore_database.this.name
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

# What Firestore indexes of single fields: by default all, ascending and descending. Fields that
# nothing queries are exempted; one that only ever grows would cap its
# collection at 500 writes a second (DESIGN §7).
resource "google_firestore_field" "this" {
  for_each = local.field_overrides

  database   = google_firestore_database.this.name
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
