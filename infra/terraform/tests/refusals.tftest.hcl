# Invalid settings are refused before any call to Google, with a message that says what is valid.

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

# Each of these values is refused, and all errors are reported together.
run "each_of_these" {
  command = plan
  variables {
    region                 = "europe-west1-b"
    firestore_location     = "europe"
    domain                 = "https://chat.example.org"
    image                  = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime:latest"
    redis_profile          = "huge"
    redis_shards           = 0
    realtime_min_instances = -1
    function_max_instances = 0
    signups_hourly         = 0
    audit_log_days         = 0
    watched_hourly         = 0
    stranger_messages      = 0
    stranger_bytes         = 49151
    new_people_per_day     = 0
    new_people_unverified  = 0
    people_listed_hourly   = 0
    extra_origins          = ["https://old.example.org/"]
    push_services          = ["https://push.example.org"]
    log_level              = "verbose"
    alert_emails           = ["ops"]
    billing_account        = "0123ab-4567cd-89ef01"
    prober_minutes         = 7
    monthly_budget         = 0
    project                = "Acme Chat"
  }
  expect_failures = [
    var.region,
    var.firestore_location,
    var.domain,
    var.image,
    var.redis_profile,
    var.redis_shards,
    var.realtime_min_instances,
    var.function_max_instances,
    var.signups_hourly,
    var.audit_log_days,
    var.watched_hourly,
    var.stranger_messages,
    var.stranger_bytes,
    var.new_people_per_day,
    var.new_people_unverified,
    var.people_listed_hourly,
    var.extra_origins,
    var.push_services,
    var.log_level,
    var.alert_emails,
    var.billing_account,
    var.prober_minutes,
    var.monthly_budget,
    var.project,
  ]
}

run "each_of_these_too" {
  command = plan
  variables {
    project                = "12345"
    region                 = "eu"
    domain                 = "Chat.example.org"
    image                  = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:11"
    redis_shards           = 1.5
    realtime_min_instances = 0.5
    function_max_instances = 1001
    signups_hourly         = 2.5
    watched_hourly         = 2.5
    stranger_messages      = 1001
    stranger_bytes         = 524289
    new_people_per_day     = 1.5
    new_people_unverified  = 1.5
    people_listed_hourly   = 2.5
    extra_origins          = ["http://old.example.org"]
    push_services          = ["10.0.0.1"]
    alert_emails           = ["ops@example.org", "a b@example.org"]
    billing_account        = "012345"
    monthly_budget         = 1.5
  }
  expect_failures = [
    var.project,
    var.region,
    var.domain,
    var.image,
    var.redis_shards,
    var.realtime_min_instances,
    var.function_max_instances,
    var.signups_hourly,
    var.watched_hourly,
    var.stranger_messages,
    var.stranger_bytes,
    var.new_people_per_day,
    var.new_people_unverified,
    var.people_listed_hourly,
    var.extra_origins,
    var.push_services,
    var.alert_emails,
    var.billing_account,
    var.monthly_budget,
  ]
}

run "and_these" {
  command = plan
  variables {
    cost_cap_percent       = 300
    redis_node_type        = "redis-standard-small"
    project                = "acme-chat-"
    domain                 = "localhost"
    redis_shards           = 126
    realtime_max_instances = 101
  }
  expect_failures = [
    var.cost_cap_percent,
    var.redis_node_type,
    var.project,
    var.domain,
    var.redis_shards,
    var.realtime_max_instances,
  ]
}

run "settings_that_contradict" {
  command = plan
  variables {
    cost_cap_percent = 99
    billing_account  = "0123AB-4567CD-89EF01"
    redis_profile    = "durable"
    redis_node_type  = "REDIS_SHARED_CORE_NANO"

    realtime_max_instances = 0
  }
  expect_failures = [var.redis_node_type, var.cost_cap_percent, var.realtime_max_instances]
}

run "more_that_contradict" {
  command = plan
  variables {
    redis_wait_for_replica = true
    realtime_min_instances = 5
    realtime_max_instances = 4
  }
  expect_failures = [var.redis_wait_for_replica, var.realtime_max_instances]
}

run "address_not_as_computed" {
  override_resource {
    target = google_cloud_run_v2_service.realtime
    values = {
      urls             = ["https://chat-a1b2c3d4e5-ew.a.run.app"]
      traffic_statuses = []
    }
  }
  expect_failures = [output.hosted_url]
}
