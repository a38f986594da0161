# The configuration with default settings, given only a project.

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

run "default" {
  assert {
    condition     = output.hosted_url == "https://chat-123456789012.europe-west1.run.app"
    error_message = "hosted_url is ${output.hosted_url}"
  }

  assert {
    condition     = output.next_url == "https://next---chat-123456789012.europe-west1.run.app"
    error_message = "next_url is ${output.next_url}"
  }

  assert {
    condition = tomap({ for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.name => e.value
      if contains(["HOSTED_URL", "REALTIME_URL", "API_BASE", "INTERNAL_AUDIENCE"], e.name) }) == tomap({
      HOSTED_URL        = "https://chat-123456789012.europe-west1.run.app"
      REALTIME_URL      = "wss://chat-123456789012.europe-west1.run.app/ws"
      API_BASE          = "https://europe-west1-acme-chat.cloudfunctions.net"
      INTERNAL_AUDIENCE = "https://chat-123456789012.europe-west1.run.app"
    })
    error_message = "Realtime must know its own address, that of the functions, and the audience of their tokens."
  }

  assert {
    condition     = one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "INTERNAL_CALLERS"]) == "chat-me@acme-chat.iam.gserviceaccount.com,chat-admin@acme-chat.iam.gserviceaccount.com,chat-persist@acme-chat.iam.gserviceaccount.com,chat-notify@acme-chat.iam.gserviceaccount.com"
    error_message = "Only the functions me and admin may call realtime's internal routes."
  }

  assert {
    condition     = length(regexall("BEGIN CERTIFICATE", one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "REDIS_CA"]))) == 2
    error_message = "During the rotation of Redis's authority there are two, and realtime must trust both."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].timeout == "3600s"
    error_message = "A socket must be able to last an hour."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].max_instance_request_concurrency == 1000
    error_message = "An instance must accept 1,000 concurrent requests, including sockets."
  }

  assert {
    condition = (one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "MAX_SOCKETS"]) == "950" &&
    google_monitoring_alert_policy.threshold["Sockets near the limit"].conditions[0].condition_threshold[0].threshold_value == 760)
    error_message = "950 of these may be sockets, and the alert must fire at 80 % of them."
  }

  assert {
    condition = [for name in ["STRANGER_MESSAGES", "STRANGER_BYTES", "NEW_PEOPLE_PER_DAY", "NEW_PEOPLE_UNVERIFIED"] :
    one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == name])] == ["5", "65536", "20", "3"]
    error_message = "The limits on strangers must be those of the variables."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].scaling[0].min_instance_count == 0
    error_message = "No instance may run while nobody is connected."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].containers[0].resources[0].cpu_idle && google_cloud_run_v2_service.realtime.template[0].containers[0].resources[0].startup_cpu_boost
    error_message = "CPU must be billed only while a request is open, and boosted at the start."
  }

  assert {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", google_cloud_run_v2_service.realtime.template[0].containers[0].image))
    error_message = "The image must be named by digest."
  }

  assert {
    condition = (google_cloud_run_v2_service.realtime.template[0].containers[0].startup_probe[0].http_get[0].path == "/health/ready" &&
      google_cloud_run_v2_service.realtime.template[0].containers[0].startup_probe[0].failure_threshold *
    google_cloud_run_v2_service.realtime.template[0].containers[0].startup_probe[0].period_seconds > 15)
    error_message = "The startup probe must allow for the 10 s that realtime waits for Redis."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].containers[0].liveness_probe[0].http_get[0].path == "/health/live"
    error_message = "The liveness probe must not depend on Redis."
  }

  assert {
    condition = (google_cloud_run_v2_service.realtime.template[0].vpc_access[0].egress == "PRIVATE_RANGES_ONLY" &&
    google_cloud_run_v2_service.realtime.template[0].vpc_access[0].network_interfaces[0].subnetwork == google_compute_subnetwork.realtime.name)
    error_message = "Realtime must reach Redis through the network, and Google's APIs without it."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.template[0].service_account == google_service_account.realtime.email
    error_message = "Realtime must run as its own service account."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.invoker_iam_disabled
    error_message = "Browsers must be able to call realtime without a grant to allUsers."
  }

  assert {
    condition     = [for t in google_cloud_run_v2_service.realtime.traffic : [t.type, t.percent, t.tag == "next"]] == [["TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", 100, true]]
    error_message = "All traffic must go to the newest revision, which must also have an address of its own."
  }

  # Without a domain, there is no load balancer, and everything is at the addresses of Cloud Run.
  assert {
    condition = (length(google_compute_backend_service.domain) + length(google_compute_region_network_endpoint_group.domain) +
      length(google_compute_security_policy.domain) + length(google_compute_url_map.domain) + length(google_compute_url_map.redirect) +
      length(google_compute_global_forwarding_rule.https) + length(google_compute_global_forwarding_rule.http) +
    length(google_compute_global_address.domain) + length(google_compute_managed_ssl_certificate.domain)) == 0
    error_message = "Without a domain, no load balancer may be paid for."
  }

  assert {
    condition     = output.load_balancer_dns == null && output.load_balancer_certificate == null
    error_message = "Without a domain, no DNS record is needed."
  }

  assert {
    condition     = google_cloud_run_v2_service.realtime.ingress == "INGRESS_TRAFFIC_ALL" && local.functions.ingress == "ALLOW_ALL"
    error_message = "Browsers must be able to call realtime and the functions."
  }

  # With 2, a client could choose its own address.
  assert {
    condition = (one([for e in google_cloud_run_v2_service.realtime.template[0].containers[0].env : e.value if e.name == "PROXIES"]) == "1" &&
    local.function_settings.PROXIES == "1" && local.function_settings.INTERNAL_URL == "https://chat-123456789012.europe-west1.run.app")
    error_message = "Only Cloud Run's front end may be trusted."
  }

  assert {
    condition = (google_firestore_database.audit.name == "audit" && google_firestore_database.audit.location_id == "europe-west1" &&
      google_firestore_database.audit.type == "FIRESTORE_NATIVE" &&
      google_firestore_database.audit.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      google_firestore_backup_schedule.audit.database == "audit" &&
    google_firestore_backup_schedule.audit.retention == google_firestore_backup_schedule.weekly.retention)
    error_message = "The audit log must have a database of its own, with the backups of the other one."
  }

  assert {
    condition     = local.function_settings.AUDIT_DATABASE == "audit" && local.function_settings.FIRESTORE_DATABASE == "(default)"
    error_message = "The functions must write the audit log to its own database."
  }

  assert {
    condition = (google_firebaserules_release.audit.name == "cloud.firestore/audit" &&
    google_firebaserules_release.audit.ruleset_name == google_firebaserules_release.firestore.ruleset_name)
    error_message = "Browsers must not be able to read or write the audit log."
  }

  assert {
    condition = (alltrue([for f in google_firestore_field.this : f.database == (f.collection == "audit" ? "audit" : "(default)")]) &&
    length([for f in google_firestore_field.this : f if f.database == "audit"]) == 8)
    error_message = "The indexes of the audit log must be in its own database."
  }

  # Neither update nor delete: the function that writes the log cannot change it.
  assert {
    condition = google_project_iam_custom_role.audit.permissions == toset(["datastore.databases.get", "datastore.entities.create",
    "datastore.entities.get", "datastore.entities.list"])
    error_message = "The role for the audit log must only read and append."
  }

  assert {
    condition = (google_logging_project_bucket_config.audit.retention_days == 400 && !google_logging_project_bucket_config.audit.locked &&
    google_logging_project_sink.audit.destination == "logging.googleapis.com/projects/acme-chat/locations/europe-west1/buckets/chat-audit-0a1b2c3d")
    error_message = "The log bucket must keep the entries, and must not be locked by default."
  }

  assert {
    condition     = google_logging_project_sink.audit.filter == "jsonPayload.audit.action:* AND ((resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"admin\") OR logName=\"projects/acme-chat/logs/chat-audit\")"
    error_message = "The filter is ${google_logging_project_sink.audit.filter}"
  }

  assert {
    condition = (google_redis_cluster.this.authorization_mode == "AUTH_MODE_IAM_AUTH" &&
    google_redis_cluster.this.transit_encryption_mode == "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION")
    error_message = "Redis must require IAM authentication and encryption."
  }

  assert {
    condition     = google_redis_cluster.this.persistence_config[0].mode == "AOF"
    error_message = "Redis must keep an append-only file."
  }

  assert {
    condition     = google_redis_cluster.this.redis_configs["maxmemory-policy"] == "noeviction"
    error_message = "A full Redis must not evict waiting messages."
  }

  assert {
    condition = (google_redis_cluster.this.node_type == "REDIS_SHARED_CORE_NANO" && google_redis_cluster.this.shard_count == 1 &&
    google_redis_cluster.this.replica_count == 0)
    error_message = "By default, Redis must have the smallest size."
  }

  assert {
    condition     = google_network_connectivity_service_connection_policy.redis.service_class == "gcp-memorystore-redis"
    error_message = "The policy must allow Memorystore in the network."
  }

  assert {
    condition     = google_pubsub_subscription.persist.push_config[0].push_endpoint == "${module.persist.uri}/projects/acme-chat/topics/delivery-acks"
    error_message = "functions-framework reads the topic from the path: ${google_pubsub_subscription.persist.push_config[0].push_endpoint}"
  }

  assert {
    condition = (google_pubsub_subscription.persist.push_config[0].oidc_token[0].service_account_email == "chat-push@acme-chat.iam.gserviceaccount.com" &&
    google_pubsub_subscription.persist.push_config[0].oidc_token[0].audience == module.persist.uri)
    error_message = "The push must send a token of its own service account, with persist as its audience."
  }

  assert {
    condition     = google_pubsub_subscription.persist.ack_deadline_seconds == 60
    error_message = "The ack deadline must be 60 s."
  }

  assert {
    condition = (google_pubsub_subscription.persist.retry_policy[0].minimum_backoff == "1s" &&
    google_pubsub_subscription.persist.retry_policy[0].maximum_backoff == "600s")
    error_message = "The backoff must grow from 1 s to 10 min."
  }

  assert {
    condition = (google_pubsub_subscription.persist.dead_letter_policy[0].max_delivery_attempts == 100 &&
    google_pubsub_subscription.persist.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letters.id)
    error_message = "After 100 attempts a message must become a dead letter."
  }

  assert {
    condition     = alltrue([for s in [google_pubsub_subscription.persist, google_pubsub_subscription.dead_letters] : s.expiration_policy[0].ttl == ""])
    error_message = "A quiet month must not delete a subscription."
  }

  assert {
    condition     = google_pubsub_subscription.dead_letters.topic == google_pubsub_topic.dead_letters.id && google_pubsub_subscription.dead_letters.message_retention_duration == "2678400s"
    error_message = "Dead letters must be kept for 31 days."
  }

  assert {
    condition = (google_pubsub_topic_iam_member.dead_lettering.topic == "dead-letters" && google_pubsub_topic_iam_member.dead_lettering.role == "roles/pubsub.publisher" &&
      google_pubsub_subscription_iam_member.dead_lettering.subscription == "persist" && google_pubsub_subscription_iam_member.dead_lettering.role == "roles/pubsub.subscriber" &&
      google_pubsub_topic_iam_member.dead_lettering.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com" &&
    google_pubsub_subscription_iam_member.dead_lettering.member == google_pubsub_topic_iam_member.dead_lettering.member)
    error_message = "Pub/Sub's service agent must be allowed to publish dead letters and to acknowledge them."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.push.name == "persist" && google_cloud_run_v2_service_iam_member.push.member == "serviceAccount:chat-push@acme-chat.iam.gserviceaccount.com"
    error_message = "Only the push account may call persist."
  }

  assert {
    condition = (google_identity_platform_config.this.client[0].permissions[0].disabled_user_signup &&
    google_identity_platform_config.this.client[0].permissions[0].disabled_user_deletion)
    error_message = "The API key must not be enough to create or delete an account."
  }

  assert {
    condition     = google_identity_platform_config.this.sign_in[0].email[0].enabled && google_identity_platform_config.this.sign_in[0].email[0].password_required
    error_message = "Users must sign in with an e-mail address and a password."
  }

  # The provider has no arguments for these, so a call sets them.
  assert {
    condition = (local.identity_extras.emailPrivacyConfig.enableImprovedEmailPrivacy &&
    local.identity_extras.passwordPolicyConfig.passwordPolicyEnforcementState == "ENFORCE")
    error_message = "Sign-in must not reveal whether an address has an account, and short passwords must be refused."
  }

  assert {
    condition     = local.identity_mail.notification.sendEmail.callbackUri == "${local.hosted_url}/mail" && startswith(local.hosted_url, "https://")
    error_message = "Links in mails must lead to the client's page."
  }

  assert {
    condition     = toset(flatten([for r in google_apikeys_key.web.restrictions : [for t in r.api_targets : t.service]])) == toset(["identitytoolkit.googleapis.com", "securetoken.googleapis.com"])
    error_message = "The key must give access only to the two APIs for signing in."
  }

  assert {
    condition     = google_firestore_database.this.type == "FIRESTORE_NATIVE" && google_firestore_database.this.location_id == "europe-west1"
    error_message = "Firestore must be in native mode and in the region of the other resources."
  }

  assert {
    condition     = google_firestore_database.this.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED"
    error_message = "It must be possible to restore any minute of the last week."
  }

  assert {
    condition = (google_firebaserules_release.firestore.name == "cloud.firestore" &&
      strcontains(google_firebaserules_ruleset.firestore.source[0].files[0].content, "allow read, write: if false;") &&
    !can(regex("if (true|request)", google_firebaserules_ruleset.firestore.source[0].files[0].content)))
    error_message = "Browsers must not be able to read or write."
  }

  assert {
    condition = (google_firestore_database.this.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.this.deletion_policy == "PREVENT" &&
      google_firestore_database.audit.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.audit.deletion_policy == "PREVENT" &&
      google_logging_project_bucket_config.audit.deletion_policy == "PREVENT" &&
      google_redis_cluster.this.deletion_protection_enabled && google_redis_cluster.this.deletion_policy == "PREVENT" &&
      google_cloud_run_v2_service.realtime.deletion_protection && google_cloud_run_v2_service.realtime.deletion_policy == "PREVENT" &&
      alltrue([for t in [google_pubsub_topic.delivery_acks, google_pubsub_topic.dead_letters, google_pubsub_subscription.persist,
      google_pubsub_subscription.dead_letters, google_pubsub_topic.notify, google_pubsub_subscription.notify] : t.deletion_policy == "PREVENT"]) &&
    google_artifact_registry_repository.this.deletion_policy == "PREVENT" && !google_storage_bucket.source.force_destroy)
    error_message = "By default, resources that hold data must be protected against deletion."
  }
}
