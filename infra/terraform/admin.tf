# The function admin: the API of the admin panel. It checks the claim "admin" itself.

module "admin" {
  source = "./modules/function"

  name        = "admin"
  entry_point = "admin"
  description = "Users, figures, dead letters and the audit log, for admins."
  shared      = local.functions
  public      = true

  # Deleting a user deletes their conversations, which takes time.
  timeout       = 300
  max_instances = min(5, var.function_max_instances)

  depends_on = [time_sleep.apis]
}

# It may also read and append to the audit log (audit.tf).
resource "google_project_iam_member" "admin_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.admin.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

resource "google_project_iam_member" "admin_accounts" {
  project = var.project
  role    = google_project_iam_custom_role.accounts.id
  member  = module.admin.member
}

# It collects dead letters, and replays them to the topic that they came from.
resource "google_pubsub_subscription_iam_member" "admin_dead_letters" {
  subscription = google_pubsub_subscription.dead_letters.name
  role         = "roles/pubsub.subscriber"
  member       = module.admin.member
}

resource "google_pubsub_topic_iam_member" "admin_replay" {
  topic  = google_pubsub_topic.delivery_acks.name
  role   = "roles/pubsub.publisher"
  member = module.admin.member
}
