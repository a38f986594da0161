# Memorystore for Redis Cluster, in which messages wait until they are delivered.

locals {
  redis_profiles = {
    small   = { node_type = "REDIS_SHARED_CORE_NANO", replicas = 0 }
    durable = { node_type = "REDIS_STANDARD_SMALL", replicas = 1 }
  }
  redis_profile   = local.redis_profiles[var.redis_profile]
  redis_node_type = var.redis_node_type == "" ? local.redis_profile.node_type : var.redis_node_type
}

resource "google_redis_cluster" "this" {
  name          = "chat"
  region        = var.region
  shard_count   = var.redis_shards
  replica_count = local.redis_profile.replicas
  node_type     = local.redis_node_type

  # IAM decides who may connect (realtime.tf), so there is no password to keep or rotate. All traffic is encrypted.
  authorization_mode      = "AUTH_MODE_IAM_AUTH"
  transit_encryption_mode = "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"

  redis_configs = {
    # A full Redis refuses new messages instead of evicting old ones (DESIGN §5).
    maxmemory-policy = "noeviction"
  }

  persistence_config {
    mode = "AOF"
    aof_config {
      # A node that fails may lose the last second. The senders' outboxes still have its messages.
      append_fsync = "EVERYSEC"
    }
  }

  # Both profiles have it, because it cannot be changed later. A single node is in one zone anyway. Replicas that are
  # added later are in other zones.
  zone_distribution_config {
    mode = "MULTI_ZONE"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "TUESDAY"
      start_time {
        hours = 2 # UTC
      }
    }
  }

  psc_configs {
    network = google_compute_network.this.id
  }

  deletion_protection_enabled = var.protect
  deletion_policy             = local.deletion_policy

  # Without the policy, the cluster would be created without an endpoint.
  depends_on = [google_network_connectivity_service_connection_policy.redis]
}

locals {
  redis_endpoint = google_redis_cluster.this.discovery_endpoints[0]
  redis_address  = "${local.redis_endpoint.address}:${local.redis_endpoint.port}"

  # The certificates of the cluster's authorities in PEM format. There are several during a rotation.
  redis_ca = join("\n", flatten([for m in google_redis_cluster.this.managed_server_ca : [
    for c in m.ca_certs : c.certificates
  ]]))
}

output "redis_endpoint" {
  description = "Address and port of the Redis cluster, which is reachable only from the network \"chat\"."
  value       = local.redis_address
}
