# The network of realtime and Redis. The functions do not use it.

resource "google_compute_network" "this" {
  name                    = "chat"
  description             = "Realtime and its Redis. No rule allows traffic from outside."
  auto_create_subnetworks = false

  depends_on = [time_sleep.apis]
}

# Direct VPC egress gives each instance its own addresses and reserves them for some time after the instance has
# ended. The 252 usable addresses are enough for a deploy with 100 instances. Cloud Run keeps using the subnet for 1–2
# h after the service was deleted.
# https://cloud.google.com/run/docs/configuring/vpc-direct-vpc
resource "google_compute_subnetwork" "realtime" {
  name          = "chat-realtime"
  description   = "Addresses of realtime's instances."
  network       = google_compute_network.this.id
  region        = var.region
  ip_cidr_range = "10.8.0.0/24"
}

# A separate subnet, so that Redis can be deleted while Cloud Run still uses the one above.
resource "google_compute_subnetwork" "redis" {
  name          = "chat-redis"
  description   = "Endpoints of the Redis cluster."
  network       = google_compute_network.this.id
  region        = var.region
  ip_cidr_range = "10.8.1.0/28"
}

# Allows Memorystore to create its endpoints in the network.
resource "google_network_connectivity_service_connection_policy" "redis" {
  name          = "chat-redis"
  description   = "Allows only the endpoints of the Redis cluster."
  location      = var.region
  network       = google_compute_network.this.id
  service_class = "gcp-memorystore-redis"

  psc_config {
    subnetworks = [google_compute_subnetwork.redis.id]
  }
}
