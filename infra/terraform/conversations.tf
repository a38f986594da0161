# The function conversations: GET /conversations, the list with unread counts. It only reads.

module "conversations" {
  source = "./modules/function"

  name        = "conversations"
  entry_point = "conversations"
  description = "Lists a person's conversations."
  shared      = local.functions
  public      = true
}

resource "google_project_iam_member" "conversations_firestore" {
  project = var.project
  role    = "roles/datastore.viewer"
  member  = module.conversations.member
}
