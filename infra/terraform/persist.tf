# The function persist saves acknowledged messages. Only Pub/Sub's push may call it.

module "persist" {
  source = "./modules/function"

  name        = "persist"
  entry_point = "persist"
  description = "Saves delivered messages and read marks."
  shared      = local.functions
  public      = false

  # Below the subscription's 60 s, so that Pub/Sub does not push a message again while a call is handling it.
  timeout = 55

  # A call can contain 400 KB of messages and write hundreds of documents.
  concurrency   = 20
  max_instances = max(20, var.function_max_instances)

  depends_on = [time_sleep.apis]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  name     = module.persist.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_project_iam_member" "persist_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.persist.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

# It publishes malformed entries to the dead letters.
resource "google_pubsub_topic_iam_member" "persist_dead_letters" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = module.persist.member
}
