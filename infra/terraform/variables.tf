variable "project" {
  description = "Id of the Google Cloud project, which must exist and have billing, such as \"acme-chat\". Only the chat should live in it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen. It is not the project's name or number: see gcloud projects list."
  }
}

variable "region" {
  description = "Region of everything, such as \"europe-west1\". It must have Cloud Run, Cloud Functions, Memorystore for Redis Cluster and Firestore. Changing it later means a new database."
  type        = string
  default     = "europe-west1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like \"europe-west1\" or \"us-central1\"; a zone (\"europe-west1-b\") or a continent (\"eu\") is not one."
  }
}

variable "firestore_location" {
  description = "Where Firestore keeps the data: a region, or a multi-region (\"eur3\", \"nam5\") that survives the loss of a region at about twice the price. Empty: var.region. It can never be changed."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|eur3|nam5|nam7|[a-z]+-[a-z]+[0-9]+)$", var.firestore_location))
    error_message = "Give a region such as \"europe-west1\", or one of the multi-regions eur3, nam5, nam7."
  }
}

variable "domain" {
  description = "Host name that people use, such as \"chat.example.org\", once it is mapped to the service (infra/RUNBOOK.md, \"Own domain\"). Empty: the service's run.app name. The page under any other host redirects there."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63})$", var.domain))
    error_message = "Give a host name in lower case without scheme, port or path, such as \"chat.example.org\"."
  }
}

variable "extra_origins" {
  description = "Further origins whose pages may open sockets and call the functions, such as \"https://old.example.org\" while people move to another domain. The hosted one always may."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for o in var.extra_origins : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", o))])
    error_message = "Each origin is https://host with nothing after it, such as \"https://old.example.org\"."
  }
}

variable "image" {
  description = "Image of realtime/ by digest (\"HOST/PROJECT/REPOSITORY/NAME@sha256:…\"), as the pipeline builds it. Empty: this apply has Cloud Build make it from the files here."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64})$", var.image))
    error_message = "Name the image by digest, such as \"europe-west1-docker.pkg.dev/PROJECT/chat/realtime@sha256:…\" with 64 hexadecimal digits; a tag can be moved and is refused."
  }
}

variable "serving_revision" {
  description = "Name of the revision of realtime/ that keeps all traffic while a new one is only reachable under its tag \"next\". Empty: the newest revision takes all traffic. Used by cloudbuild.yaml, and for rolling back."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|[a-z]([a-z0-9-]{0,61}[a-z0-9])?)$", var.serving_revision))
    error_message = "Give the revision's short name, such as \"chat-00012-abc\": see gcloud run revisions list."
  }
}

variable "redis_profile" {
  description = "\"small\": one primary without a replica, the cheapest; a node that fails comes back from its append-only file after minutes, in which messages wait in the senders' outboxes. \"durable\": larger nodes, each with a replica in another zone, failing over in seconds."
  type        = string
  default     = "small"
  nullable    = false

  validation {
    condition     = contains(["small", "durable"], var.redis_profile)
    error_message = "The profile is \"small\" or \"durable\"."
  }
}

variable "redis_node_type" {
  description = "Node type of Redis, overriding the profile's: REDIS_SHARED_CORE_NANO (1.1 GB for keys, no SLA), REDIS_STANDARD_SMALL (5.2 GB), REDIS_HIGHMEM_MEDIUM (10.4 GB) or REDIS_HIGHMEM_XLARGE (46.4 GB). Empty: the profile's."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition = contains(["", "REDIS_SHARED_CORE_NANO", "REDIS_STANDARD_SMALL", "REDIS_HIGHMEM_MEDIUM",
    "REDIS_HIGHMEM_XLARGE"], var.redis_node_type)
    error_message = "The node type is REDIS_SHARED_CORE_NANO, REDIS_STANDARD_SMALL, REDIS_HIGHMEM_MEDIUM or REDIS_HIGHMEM_XLARGE."
  }

  validation {
    condition     = !(var.redis_profile == "durable" && var.redis_node_type == "REDIS_SHARED_CORE_NANO")
    error_message = "A shared-core node has no SLA and does not go with redis_profile = \"durable\"."
  }
}

variable "redis_shards" {
  description = "Number of Redis shards. Users are spread over them; more shards carry more messages a second and more waiting messages. Can be changed while people chat."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.redis_shards >= 1 && var.redis_shards <= 125 && floor(var.redis_shards) == var.redis_shards
    error_message = "The number of shards is a whole number from 1 to 125."
  }
}

variable "realtime_min_instances" {
  description = "Instances of realtime/ kept running without a connection. 0: the first person after a quiet time waits about a second longer. 1 or more is billed all day."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.realtime_min_instances >= 0 && floor(var.realtime_min_instances) == var.realtime_min_instances
    error_message = "The number of instances is a whole number, 0 or more."
  }
}

variable "realtime_max_instances" {
  description = "Most instances of realtime/ at a time. Each holds up to 1,000 sockets, so that 10 carry 10,000 devices at once. Also a bound on the bill. The subnet allows 100; more need a larger one."
  type        = number
  default     = 10
  nullable    = false

  # Each instance takes two addresses of the subnet's 252, twice that while a
  # new revision takes over, and addresses stay taken for some minutes.
  validation {
    condition = (var.realtime_max_instances >= 1 && var.realtime_max_instances <= 100 &&
    floor(var.realtime_max_instances) == var.realtime_max_instances)
    error_message = "The number of instances is a whole number from 1 to 100."
  }

  validation {
    condition     = var.realtime_max_instances >= var.realtime_min_instances
    error_message = "realtime_max_instances must not be less than realtime_min_instances."
  }
}

variable "function_max_instances" {
  description = "Most instances of each HTTP function at a time, 80 requests each. A bound on the bill and on what a flood can start."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition = (var.function_max_instances >= 1 && var.function_max_instances <= 1000 &&
    floor(var.function_max_instances) == var.function_max_instances)
    error_message = "The number of instances is a whole number from 1 to 1,000."
  }
}

variable "signups_hourly" {
  description = "Sign-ups taken from one IP address in an hour. 30 leaves room for a classroom behind one address."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.signups_hourly >= 1 && var.signups_hourly <= 10000 && floor(var.signups_hourly) == var.signups_hourly
    error_message = "The number of sign-ups is a whole number from 1 to 10,000."
  }
}

variable "log_level" {
  description = "Least level that realtime and the functions log: debug, info, warn or error."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "The level is debug, info, warn or error."
  }
}

variable "alert_emails" {
  description = "E-mail addresses that are told of alerts. Empty: alerts are only shown in the console."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for a in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", a))])
    error_message = "Each entry must be an e-mail address, such as \"ops@example.org\"."
  }
}

variable "billing_account" {
  description = "Billing account of the budget, such as \"0123AB-4567CD-89EF01\". Empty: no budget. Whoever applies needs the role Billing Account Costs Manager on it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})$", var.billing_account))
    error_message = "A billing account id looks like \"0123AB-4567CD-89EF01\": see gcloud billing accounts list."
  }
}

variable "monthly_budget" {
  description = "Monthly budget in whole units of the billing account's currency; mails go out at 50 %, 90 % and 100 %, and when 100 % is forecast. Nothing is switched off. Only with billing_account."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "The budget is a whole number, 1 or more."
  }
}

variable "protect" {
  description = "Whether what holds data or serves people refuses to be deleted, in Terraform and, where there is such a switch, on Google's side. For terraform destroy apply once with false."
  type        = bool
  default     = true
  nullable    = false
}

variable "adopt_identity_platform" {
  description = "Set to true where Identity Platform was enabled in this project before, by hand or by an earlier apply of which the state is gone: it cannot be deleted, only taken over."
  type        = bool
  default     = false
  nullable    = false
}
