# The effects of the variables.

mock_provider "google" {
  source = "./tests/mocks"
}
mock_provider "google-beta" {
  source = "./tests/mocks/beta"
}
provider "google" {
  alias        = "caller"
  access_token = "a-token"
}
mock_provider "archive" {}
mock_provider "random" {}
mock_provider "time" {}

# These modules call Google from the machine that applies.
override_module {
  target = module.build
  outputs = {
    image = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }
}

override_module {
  target = module.identity_extras
}

override_module {
  target = module.identity_mail
}

override_module {
  target = module.resource_manager
}

override_module {
  target = module.archive
  outputs = {
    path   = "functions.zip"
    sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
  }
}

variables {
  project = "acme-chat"
}

run "durable" {
  variables {
    redis_profile          = "durable"
    redis_shards           = 3
    redis_wait_for_replica = true
  }

  assert {
    condition = (google_redis_cluster.this.node_type == "REDIS_STANDARD_SMALL" && google_redis_cluster.this.shard_count == 3 &&
    google_redis_cluster.this.replica_count == 1 && google_redis_cluster.this.zone_distribution_config[0].mode == "MULTI_ZONE")
    error_message = "Each shard must have a replica in another zone."
  }

  assert {
    condition     = one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "REPLICA_WAIT"]) == "1s"
    error_message = "Realtime must wait for the replica."
  }
}

# Settings that do not depend on each other, in one run: a run takes seconds.
run "independent_settings" {
  variables {
    redis_node_type = "REDIS_HIGHMEM_MEDIUM"
    grant_all_users = false
    image           = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:2222222222222222222222222222222222222222222222222222222222222222"
    alert_emails    = ["ops@example.org", "night@example.org"]
    billing_account = "0123AB-4567CD-89EF01"
    monthly_budget  = 250
  }

  assert {
    condition     = google_redis_cluster.this.node_type == "REDIS_HIGHMEM_MEDIUM" && google_redis_cluster.this.replica_count == 0
    error_message = "The node type must override only that of the profile."
  }

  assert {
    condition = (google_cloud_run_v2_service.realtime.invoker_iam_disabled && alltrue([for f in [module.signup, module.users,
    module.conversations, module.messages, module.me, module.admin] : f.public_grants == 0]))
    error_message = "Without the grants, realtime must still be public, and no function may be granted to allUsers."
  }

  assert {
    condition     = output.image == var.image && length(module.build) == 0
    error_message = "A given image must be deployed, and no image may be built."
  }

  assert {
    condition     = output.serving_revision == "chat-00002-new"
    error_message = "serving_revision is ${output.serving_revision}"
  }

  assert {
    condition = (length(google_monitoring_notification_channel.email) == 2 &&
      alltrue([for p in google_monitoring_alert_policy.threshold : length(p.notification_channels) == 2]) &&
      alltrue([for p in google_monitoring_alert_policy.errors : length(p.notification_channels) == 2]) &&
    length(google_monitoring_alert_policy.redis_silent.notification_channels) == 2)
    error_message = "Every alert must notify all addresses."
  }

  # An incident without data closes after this time, and Redis sends no data while it is down.
  assert {
    condition     = google_monitoring_alert_policy.redis_silent.alert_strategy[0].auto_close == "604800s"
    error_message = "\"Redis silent\" must stay open while Redis is down."
  }

  assert {
    condition = (google_billing_budget.this[0].amount[0].specified_amount[0].units == "250" &&
    length(google_billing_budget.this[0].all_updates_rule[0].monitoring_notification_channels) == 2)
    error_message = "The budget must be the given one."
  }

  assert {
    condition     = length(module.cap) == 0 && length(google_pubsub_topic.budget) == 0 && google_billing_budget.this[0].all_updates_rule[0].pubsub_topic == null
    error_message = "Nothing must switch the chat off unless somebody asked for it."
  }
}

run "unprotected" {
  variables {
    protect = false
  }

  # All protection arguments, so that terraform destroy works.
  assert {
    condition = (google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_DISABLED" && google_firestore_database.this.deletion_policy == "DELETE" &&
      google_firestore_database.audit.delete_protection_state == "DELETE_PROTECTION_DISABLED" && google_firestore_database.audit.deletion_policy == "DELETE" &&
      google_logging_project_bucket_config.audit.deletion_policy == "DELETE" &&
      !google_redis_cluster.this.deletion_protection_enabled && google_redis_cluster.this.deletion_policy == "DELETE" &&
      !google_cloud_run_v2_service.realtime.deletion_protection && google_cloud_run_v2_service.realtime.deletion_policy == "DELETE" &&
      alltrue([for t in [google_pubsub_topic.delivery_acks, google_pubsub_topic.dead_letters, google_pubsub_subscription.persist,
      google_pubsub_subscription.dead_letters, google_pubsub_topic.notify, google_pubsub_subscription.notify] : t.deletion_policy == "DELETE"]) &&
    google_artifact_registry_repository.this.deletion_policy == "DELETE" && google_storage_bucket.source.force_destroy)
    error_message = "With protect = false, no argument may prevent terraform destroy."
  }
}

run "locked_audit_log" {
  variables {
    lock_audit_log = true
    audit_log_days = 2555
    protect        = false
  }

  assert {
    condition = (google_logging_project_bucket_config.audit.locked && google_logging_project_bucket_config.audit.retention_days == 2555 &&
    google_logging_project_bucket_config.audit.deletion_policy == "ABANDON")
    error_message = "Google refuses to delete a locked bucket, so destroy must leave it behind."
  }
}

run "kept_code" {
  variables {
    pipeline = true # keep_code follows
  }

  override_data {
    target = data.google_cloud_run_v2_service.deployed
    values = {
      template = [{ containers = [{ image = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:4444444444444444444444444444444444444444444444444444444444444444" }] }]
    }
  }

  override_data {
    target = data.google_cloudfunctions2_function.deployed
    values = {
      build_config = [{ source = [{ storage_source = [{ object = "functions/5555.zip" }] }] }]
    }
  }

  assert {
    condition     = output.image == "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:4444444444444444444444444444444444444444444444444444444444444444" && length(module.build) == 0
    error_message = "The deployed image must stay, and no image may be built."
  }

  assert {
    condition     = google_storage_bucket_object.functions.name == "functions/5555.zip" && local.functions.object == "functions/5555.zip"
    error_message = "The functions must keep their source."
  }
}

run "given_image_with_kept_functions" {
  variables {
    keep_code = true
    image     = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:2222222222222222222222222222222222222222222222222222222222222222"
  }

  override_data {
    target = data.google_cloudfunctions2_function.deployed
    values = {
      build_config = [{ source = [{ storage_source = [{ object = "functions/5555.zip" }] }] }]
    }
  }

  assert {
    condition     = output.image == var.image && google_storage_bucket_object.functions.name == "functions/5555.zip"
    error_message = "A given image must be deployed, and the functions must keep their source."
  }
}

# A run with mocks cannot import, unless the resources are overridden.
run "a_project_that_had_firebase" {
  command = plan
  variables {
    adopt_identity_platform = true
    adopt_firebase_rules    = true
  }

  override_resource {
    target = google_identity_platform_config.this
  }

  override_resource {
    target = google_firebaserules_release.firestore
  }

  assert {
    condition     = google_firebaserules_release.firestore.name == "cloud.firestore"
    error_message = "The release must be imported under its own name."
  }
}

run "cost_cap" {
  variables {
    billing_account  = "0123AB-4567CD-89EF01"
    cost_cap_percent = 300
  }

  override_resource {
    target = module.cap[0].google_service_account.this
    values = {
      email  = "chat-cap@acme-chat.iam.gserviceaccount.com"
      member = "serviceAccount:chat-cap@acme-chat.iam.gserviceaccount.com"
    }
  }

  assert {
    condition     = module.cap[0].settings["COST_CAP_PERCENT"] == "300" && google_billing_budget.this[0].all_updates_rule[0].pubsub_topic == google_pubsub_topic.budget[0].id
    error_message = "The budget must notify the function cap, which must know the cap."
  }

  assert {
    condition     = toset(keys(google_cloud_run_v2_service_iam_member.cap)) == toset(["chat", "signup", "users", "conversations", "messages", "me", "admin"])
    error_message = "The function must be able to switch off all services that people call, and not persist."
  }

  assert {
    condition = (google_pubsub_subscription.cap[0].expiration_policy[0].ttl == "" &&
      google_pubsub_subscription.cap[0].push_config[0].push_endpoint == "${module.cap[0].uri}/${google_pubsub_topic.budget[0].id}" &&
      google_pubsub_subscription.cap[0].push_config[0].oidc_token[0].service_account_email == "chat-push@acme-chat.iam.gserviceaccount.com" &&
    google_pubsub_subscription.cap[0].push_config[0].oidc_token[0].audience == module.cap[0].uri)
    error_message = "Notifications must reach the function cap, also after a quiet month."
  }

  assert {
    condition     = length(google_service_account_iam_member.cap) == 7
    error_message = "Cloud Run demands the right to act as a service's account from everybody who changes the service."
  }
}
