# The function conversations: GET /conversations lists conversations with their unread counts.

module "conversations" {
  source = "./modules/function"

  name        = "conversations"
  entry_point = "conversations"
  description = "Lists a user's conversations."
  shared      = local.functions
  public      = true

  depends_on = [time_sleep.apis]
}

# It reads, but once an hour it also writes when the caller was last active.
resource "google_project_iam_member" "conversations_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.conversations.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}
