# Pub/Sub carries acknowledged messages from realtime to persist.

# Pub/Sub's service agent in this project, which forwards dead letters.
resource "google_project_service_identity" "pubsub" {
  provider = google-beta

  service = "pubsub.googleapis.com"

  depends_on = [time_sleep.apis]
}

resource "google_pubsub_topic" "delivery_acks" {
  name = "delivery-acks"

  # As long as Firestore's point-in-time recovery. After the database was restored to a point in time, the
  # subscription is set back to it and delivers the later messages again (infra/RUNBOOK.md, "Restore Firestore").
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

  # The time limit for persist. The function's own timeout is shorter, so that Pub/Sub does not repeat a call while it
  # runs (persist.tf).
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    # functions-framework converts the push body to a CloudEvent and reads the topic's name from the path.
    push_endpoint = "${module.persist.uri}/${google_pubsub_topic.delivery_acks.id}"

    attributes = {
      x-goog-version = "v1" # as Google answers if it is not set, which the provider takes for a change
    }

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = module.persist.uri
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "600s"
  }

  # 100 attempts take about 15 h, which is longer than most outages.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 100
  }

  # The subscription never expires. By default it would after 31 days without use.
  expiration_policy {
    ttl = ""
  }

  deletion_policy = local.deletion_policy

  # Otherwise the first push could be refused, or a dead letter lost.
  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_pubsub_topic_iam_member.dead_lettering,
    google_pubsub_subscription.dead_letters,
  ]
}

# Messages that persist could not save in 100 attempts, and malformed ones.
resource "google_pubsub_topic" "dead_letters" {
  name                       = "dead-letters"
  message_retention_duration = "2678400s" # 31 days, the maximum

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  deletion_policy = local.deletion_policy

  depends_on = [time_sleep.apis]
}

# A topic without a subscription loses its messages. The function admin collects from this subscription.
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

# Pub/Sub's service agent publishes dead letters and acknowledges them on the original subscription. Without these
# grants, messages are retried forever, without a notification.
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

# The service account that calls persist and notify. It has no other permission.
resource "google_service_account" "push" {
  account_id   = "chat-push"
  display_name = "Chat: Pub/Sub's push to persist and notify"

  depends_on = [time_sleep.apis]
}

# In projects created before April 2021, Pub/Sub needs this grant to create tokens.
resource "google_service_account_iam_member" "push_token" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_project_service_identity.pubsub.member
}

output "persist_subscription" {
  description = "Subscription that pushes acknowledged messages to persist."
  value       = google_pubsub_subscription.persist.id
}

output "persist_dead_letters" {
  description = "Subscription that keeps dead letters for 31 days."
  value       = google_pubsub_subscription.dead_letters.id
}
