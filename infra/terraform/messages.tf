# The function messages: GET /messages returns a page of a conversation's history.

module "messages" {
  source = "./modules/function"

  name        = "messages"
  entry_point = "messages"
  description = "Reads the history of a conversation."
  shared      = local.functions
  public      = true

  depends_on = [time_sleep.apis]
}

# It reads, but once an hour it also writes when the caller was last active.
resource "google_project_iam_member" "messages_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.messages.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}
