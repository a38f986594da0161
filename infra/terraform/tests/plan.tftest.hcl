
mock_provider "google" {
  source = "./tests/mocks"
}
mock_provider "google-beta" {}
mock_provider "archive" {}
mock_provider "random" {}
mock_provider "time" {}

# These call Google from the machine that applies.
override_module {
  target = module.build
  outputs = {
    image = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }
}

override_module {
  target = module.identity_extras
}

variables {
  project = "acme-chat"
}

run "plan" {

  assert {
    condition     = output.hosted_url == "https://chat-123456789012.europe-west1.run.app"
    error_message = "hosted_url is ${output.hosted_url}"
  }
  assert {
    condition = google_pubsub_topic_iam_member.realtime_acks.member== "serviceAccount:chat-realtime@acme-chat.iam.gserviceaccount.com"
    error_message = "x ${google_pubsub_topic_iam_member.realtime_acks.member}"
    }
    assert {
    condition = google_pubsub_topic_iam_member.admin_replay.member== "serviceAccount:chat-admin@acme-chat.iam.gserviceaccount.com"
    error_message = "x ${google_pubsub_topic_iam_member.admin_replay.member}"
    }
}
