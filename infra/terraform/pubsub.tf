# Pub/Sub: from a device's acknowledgement to the archive.

# Pub/Sub's own account in this project, which forwards dead letters.
resource "google_project_service_identity" "pubsub" {
  provider = google-beta

  service = "pubsub.googleapis.com"

  depends_on = [time_sleep.apis]
}

resource "google_pubsub_topic" "delivery_acks" {
  name = "delivery-acks"

  # As long as Firestore's point-in-time recovery: after restoring the database to a
  # moment, the subscription is set back to it and fills the gap (infra/RUNBOOK.md, "Restore Firestore").
  message_retention_duration = "604800s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  deletion_policy = local.deletion_policy

  depends_on = [time_sleep.apis]
}

resource "google_pubsub_subscription" "persist" {
  name  = "persist"
  topic = google_pubsub_topic.delivery_acks.id

  # The longest that persist may take. Its own limit is below, so that no call
  # is made again while it runs (persist.tf).
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    # functions-framework makes a CloudEvent of the push body, and takes the topic's
    # name from the path.
    push_endpoint = "${module.persist.uri}/${google_pubsub_topic.delivery_acks.id}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = module.persist.uri
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "600s"
  }

  # About 15 h of trying: longer than most outages.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 100
  }

  # Never, however quiet the chat is. The default is 31 days.
  expiration_policy {
    ttl = ""
  }

  deletion_policy = local.deletion_policy

  # The first push must not be refused, nor a dead letter lost.
  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_pubsub_topic_iam_member.dead_lettering,
    google_pubsub_subscription.dead_letters,
  ]
}

# What persist could not save: after 100 attempts, or malformed.
resource "google_pubsub_topic" "dead_letters" {
  name                       = "dead-letters"
  message_retention_duration = "2678400s" # 31 days, the most there is

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  deletion_policy = local.deletion_policy

  depends_on = [time_sleep.apis]
}

# A topic without a subscription loses everything. The admin function collects from this one.
resource "google_pubsub_subscription" "dead_letters" {
  name                       = "dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }

  deletion_policy = local.deletion_policy
}

# Dead-lettering is done by Pub/Sub's own account: it publishes there and
# acknowledges here. Without these, messages are tried for ever and nobody is told.
resource "google_pubsub_topic_iam_member" "dead_lettering" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = google_project_service_identity.pubsub.member
}

resource "google_pubsub_subscription_iam_member" "dead_lettering" {
  subscription = google_pubsub_subscription.persist.name
  role         = "roles/pubsub.subscriber"
  member       = google_project_service_identity.pubsub.member
}

# The one who calls persist, and may do nothing else.
resource "google_service_account" "push" {
  account_id   = "chat-push"
  display_name = "Chat: Pub/Sub's push to persist"

  depends_on = [time_sleep.apis]
}

# In projects from before April 2021 Pub/Sub may not sign tokens on its own.
resource "google_service_account_iam_member" "push_token" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_project_service_identity.pubsub.member
}

output "persist_subscription" {
  description = "Subscription that pushes what devices acknowledged to persist."
  value       = google_pubsub_subscription.persist.id
}

output "persist_dead_letters" {
  description = "Subscription that holds what could not be saved, for 31 days."
  value       = google_pubsub_subscription.dead_letters.id
}
