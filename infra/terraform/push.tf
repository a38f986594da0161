# The key pair with which pushes are signed (DESIGN §12). The function me adds the first version of the secret when the
# first browser asks for the key, so the pair is not in Terraform's state.

resource "google_secret_manager_secret" "push_key" {
  secret_id = "chat-push-key"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  deletion_protection = var.protect

  depends_on = [time_sleep.apis]
}

resource "google_secret_manager_secret_iam_member" "me_reads_push_key" {
  secret_id = google_secret_manager_secret.push_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = module.me.member
}

resource "google_secret_manager_secret_iam_member" "me_adds_push_key" {
  secret_id = google_secret_manager_secret.push_key.secret_id
  role      = "roles/secretmanager.secretVersionAdder"
  member    = module.me.member
}
