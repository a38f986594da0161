# The prober: a job that sends a message through the whole chat every few minutes, as its two permanent users
# (infra/pipeline/smoke). The pipeline runs the same job on a revision that gets no traffic yet.

resource "google_service_account" "prober" {
  account_id   = "chat-prober"
  display_name = "Chat: prober"

  depends_on = [time_sleep.apis]
}

# The function admin lets the prober's account, and no other, sign in as the prober's two users. It signs their tokens
# itself. It can change every account anyway, whereas the prober has no role at all, and there is no password.
resource "google_service_account_iam_member" "admin_signs" {
  service_account_id = "projects/${var.project}/serviceAccounts/${module.admin.account}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = module.admin.member
}

resource "google_cloud_run_v2_job" "prober" {
  name     = "prober"
  location = var.region

  template {
    template {
      service_account = google_service_account.prober.email
      timeout         = "150s"
      max_retries     = 0 # the next run is soon

      containers {
        image   = local.image
        command = ["/prober"]
        args    = ["-prober", "-url=${local.hosted_url}", "-within=2m"]

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
          }
        }
      }
    }
  }

  deletion_protection = false
  deletion_policy     = "DELETE"

  depends_on = [google_cloud_run_v2_service.realtime]
}

# The account that starts the job. It has no other permission.
resource "google_service_account" "scheduler" {
  account_id   = "chat-scheduler"
  display_name = "Chat: Cloud Scheduler, which starts the prober"

  depends_on = [time_sleep.apis]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  name     = google_cloud_run_v2_job.prober.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "prober" {
  count = var.prober_minutes == 0 ? 0 : 1

  name        = "prober"
  description = "Starts the prober."
  region      = var.region
  schedule    = "*/${var.prober_minutes} * * * *"
  time_zone   = "Etc/UTC"

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.prober.id}:run"

    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}
