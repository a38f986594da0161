# The function conversations: GET /conversations, the list with unread counts.

module "conversations" {
  source = "./modules/function"

  name        = "conversations"
  entry_point = "conversations"
  description = "Lists a person's conversations."
  shared      = local.functions
  public      = true
}

# It reads; but once an hour it notes when the caller was active.
resource "google_project_iam_member" "conversations_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.conversations.member
}
