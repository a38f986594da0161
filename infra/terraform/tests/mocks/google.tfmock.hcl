# The parts of Google's answers that the configuration reads. Each service account has its own address, so that the
# tests can distinguish their grants.

mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_resource "google_redis_cluster" {
  defaults = {
    discovery_endpoints = [{ address = "10.8.1.2", port = 6379, psc_config = [] }]
    managed_server_ca = [{ ca_certs = [
      { certificates = ["-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----"] },
      { certificates = ["-----BEGIN CERTIFICATE-----\ndHdv\n-----END CERTIFICATE-----"] },
    ] }]
  }
}

mock_resource "google_cloud_run_v2_service" {
  defaults = {
    urls                  = ["https://chat-a1b2c3d4e5-ew.a.run.app", "https://chat-123456789012.europe-west1.run.app"]
    latest_ready_revision = "projects/acme-chat/locations/europe-west1/services/chat/revisions/chat-00002-new"
    traffic_statuses = [
      { percent = 100, revision = "", tag = "next", type = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", uri = "" },
    ]
  }
}

mock_resource "google_pubsub_topic" {
  defaults = {
    id = "projects/acme-chat/topics/a-topic"
  }
}

mock_resource "google_compute_global_address" {
  defaults = {
    address = "203.0.113.10"
  }
}

mock_resource "google_apikeys_key" {
  defaults = {
    key_string = "a-public-key"
  }
}

override_resource {
  target = google_project_iam_custom_role.accounts
  values = {
    id = "projects/acme-chat/roles/chatAccounts_0a1b2c3d"
  }
}

override_resource {
  target = google_project_iam_custom_role.deploy
  values = {
    id = "projects/acme-chat/roles/chatDeploy_0a1b2c3d"
  }
}

override_resource {
  target = google_project_iam_custom_role.plan
  values = {
    id = "projects/acme-chat/roles/chatPlan_0a1b2c3d"
  }
}

override_resource {
  target = google_project_iam_custom_role.own_account
  values = {
    id = "projects/acme-chat/roles/chatOwnAccount_0a1b2c3d"
  }
}

override_resource {
  target = google_project_iam_custom_role.audit
  values = {
    id = "projects/acme-chat/roles/chatAudit_0a1b2c3d"
  }
}

override_resource {
  target = google_logging_project_bucket_config.audit
  values = {
    id = "projects/acme-chat/locations/europe-west1/buckets/chat-audit-0a1b2c3d"
  }
}

override_resource {
  target = google_service_account.build
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-build@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-build@acme-chat.iam.gserviceaccount.com"
    email  = "chat-build@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-build@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.push
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-push@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-push@acme-chat.iam.gserviceaccount.com"
    email  = "chat-push@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-push@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.plan
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-plan@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-plan@acme-chat.iam.gserviceaccount.com"
    email  = "chat-plan@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-plan@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.deploy
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-deploy@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-deploy@acme-chat.iam.gserviceaccount.com"
    email  = "chat-deploy@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-deploy@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.test
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-test@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-test@acme-chat.iam.gserviceaccount.com"
    email  = "chat-test@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-test@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.realtime
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-realtime@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-realtime@acme-chat.iam.gserviceaccount.com"
    email  = "chat-realtime@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-realtime@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.signup.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-signup@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-signup@acme-chat.iam.gserviceaccount.com"
    email  = "chat-signup@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-signup@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.users.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-users@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-users@acme-chat.iam.gserviceaccount.com"
    email  = "chat-users@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-users@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.conversations.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-conversations@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-conversations@acme-chat.iam.gserviceaccount.com"
    email  = "chat-conversations@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-conversations@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.messages.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-messages@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-messages@acme-chat.iam.gserviceaccount.com"
    email  = "chat-messages@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-messages@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.me.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-me@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-me@acme-chat.iam.gserviceaccount.com"
    email  = "chat-me@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-me@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.admin.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-admin@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-admin@acme-chat.iam.gserviceaccount.com"
    email  = "chat-admin@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-admin@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.persist.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-persist@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-persist@acme-chat.iam.gserviceaccount.com"
    email  = "chat-persist@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-persist@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = module.notify.google_service_account.this
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-notify@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-notify@acme-chat.iam.gserviceaccount.com"
    email  = "chat-notify@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-notify@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_pubsub_topic.notify
  values = {
    id = "projects/acme-chat/topics/notify"
  }
}

override_resource {
  target = google_pubsub_topic.delivery_acks
  values = {
    id = "projects/acme-chat/topics/delivery-acks"
  }
}

override_resource {
  target = google_pubsub_topic.dead_letters
  values = {
    id = "projects/acme-chat/topics/dead-letters"
  }
}

override_resource {
  target = google_service_account.prober
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-prober@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-prober@acme-chat.iam.gserviceaccount.com"
    email  = "chat-prober@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-prober@acme-chat.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.scheduler
  values = {
    id     = "projects/acme-chat/serviceAccounts/chat-scheduler@acme-chat.iam.gserviceaccount.com"
    name   = "projects/acme-chat/serviceAccounts/chat-scheduler@acme-chat.iam.gserviceaccount.com"
    email  = "chat-scheduler@acme-chat.iam.gserviceaccount.com"
    member = "serviceAccount:chat-scheduler@acme-chat.iam.gserviceaccount.com"
  }
}
