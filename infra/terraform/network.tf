# The network that only realtime and Redis are in. Functions need none.

resource "google_compute_network" "this" {
  name                    = "chat"
  description             = "Realtime and its Redis. No rule lets anything in from outside."
  auto_create_subnetworks = false

  depends_on = [time_sleep.apis]
}

# Direct VPC egress gives each instance addresses of its own, and keeps those of ended
# instances for a while: 252 usable addresses carry 100 instances through a deploy.
# After the service is gone Cloud Run holds on to the subnet for 1–2 h.
# https://cloud.google.com/run/docs/configuring/vpc-direct-vpc
resource "google_compute_subnetwork" "realtime" {
  name          = "chat-realtime"
  description   = "Addresses of realtime's instances."
  network       = google_compute_network.this.id
  region        = var.region
  ip_cidr_range = "10.8.0.0/24"
}

# Apart from the one above so that Redis can be deleted while Cloud Run still holds that.
resource "google_compute_subnetwork" "redis" {
  name          = "chat-redis"
  description   = "Endpoints of the Redis cluster."
  network       = google_compute_network.this.id
  region        = var.region
  ip_cidr_range = "10.8.1.0/28"
}

# Lets Memorystore make its endpoints in our network.
resource "google_network_connectivity_service_connection_policy" "redis" {
  name          = "chat-redis"
  description   = "Endpoints of the Redis cluster, and of nothing else."
  location      = var.region
  network       = google_compute_network.this.id
  service_class = "gcp-memorystore-redis"

  psc_config {
    subnetworks = [google_compute_subnetwork.redis.id]
  }
}
