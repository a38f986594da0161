variable "project" {
  description = "Id of the Google Cloud project, such as \"acme-chat\". It must exist, have billing enabled, and should contain only the chat."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen. It is not the project's name or number. To list the ids, run: gcloud projects list."
  }
}

variable "region" {
  description = "Region of all resources, such as \"europe-west1\". It must offer Cloud Run, Cloud Functions, Memorystore for Redis Cluster and Firestore. Changing it later requires a new database."
  type        = string
  default     = "europe-west1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like \"europe-west1\" or \"us-central1\". A zone (\"europe-west1-b\") or a continent (\"eu\") is not a region."
  }
}

variable "firestore_location" {
  description = "Location of the Firestore data: a region, or a multi-region (\"eur3\", \"nam5\"), which survives the loss of a region and costs about twice as much. If empty, it is var.region. It can never be changed."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|eur3|nam5|nam7|[a-z]+-[a-z]+[0-9]+)$", var.firestore_location))
    error_message = "The location must be a region such as \"europe-west1\", or one of the multi-regions eur3, nam5 and nam7."
  }
}

variable "domain" {
  description = "Public host name of the chat, such as \"chat.example.org\". It creates a load balancer with a certificate, rate limits and a cache, whose address the domain's DNS record must have (infra/RUNBOOK.md, \"Own domain\"). The run.app addresses are closed then. If empty, the chat is served at the run.app address of the service."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63})$", var.domain))
    error_message = "The domain must be a lower-case host name without scheme, port or path, such as \"chat.example.org\"."
  }
}

variable "keep_run_app" {
  description = "Whether the chat is still served at its run.app address although domain is set. Set it to true while a chat that people use moves to a domain, until the DNS record and the certificate work."
  type        = bool
  default     = false
  nullable    = false
}

variable "extra_origins" {
  description = "Additional origins whose pages may open sockets and call the functions, such as \"https://old.example.org\" while users move to another domain. The origin of hosted_url is always allowed."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for o in var.extra_origins : can(regex("^https://[a-z0-9.-]+(:[0-9]+)?$", o))])
    error_message = "Each origin must be https://host without a path, such as \"https://old.example.org\"."
  }
}

variable "push_services" {
  description = "Hosts of the push services to which pushes may be sent, such as \"push.example.org\", or \"*.example.org\" for any labels before. If empty, those of Chrome, Firefox, Edge and Safari (functions/push)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for s in var.push_services : can(regex("^([*][.])?[a-z0-9-]+([.][a-z0-9-]+)*[.][a-z][a-z0-9-]*$", s))])
    error_message = "Each push service must be a host name without a scheme, port or path, such as \"push.example.org\"."
  }
}

variable "image" {
  description = "Image of realtime/ by digest (\"HOST/PROJECT/REPOSITORY/NAME@sha256:…\"), as built by the pipeline. If empty, Cloud Build builds the image from the local files during the apply, unless keep_code is true."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|[a-z0-9.-]+(:[0-9]+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64})$", var.image))
    error_message = "The image must be given by digest, such as \"europe-west1-docker.pkg.dev/PROJECT/chat/realtime@sha256:…\" with 64 hexadecimal digits. Tags are not allowed, because they can be moved."
  }
}

variable "keep_code" {
  description = "Whether an apply keeps the deployed code, which is realtime's image and the functions' source, and changes only settings. By default it does if pipeline is true. The pipeline passes false. The first apply of a project has no code to keep, so with pipeline = true it also needs -var keep_code=false. With -var image=…, realtime gets that image nevertheless."
  type        = bool
  default     = null
}

variable "pipeline" {
  description = "Whether the project has the service accounts of the pipeline: chat-deploy, which deploys, chat-test, whose builds can only read the sources and write logs, and chat-plan, which can only make plans. Only the pipeline deploys code then: see keep_code. A person with the role Owner must apply it."
  type        = bool
  default     = false
  nullable    = false
}

variable "redis_profile" {
  description = "\"small\" is the cheapest: one primary without a replica. After a failure the node restores its append-only file within minutes, and messages wait in the senders' outboxes meanwhile. \"durable\" has larger nodes, each with a replica in another zone, and fails over within seconds."
  type        = string
  default     = "small"
  nullable    = false

  validation {
    condition     = contains(["small", "durable"], var.redis_profile)
    error_message = "The profile must be \"small\" or \"durable\"."
  }
}

variable "redis_node_type" {
  description = "Node type of Redis, which overrides that of the profile: REDIS_SHARED_CORE_NANO (1.1 GB for keys, no SLA), REDIS_STANDARD_SMALL (5.2 GB), REDIS_HIGHMEM_MEDIUM (10.4 GB) or REDIS_HIGHMEM_XLARGE (46.4 GB). If empty, it is that of the profile."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition = contains(["", "REDIS_SHARED_CORE_NANO", "REDIS_STANDARD_SMALL", "REDIS_HIGHMEM_MEDIUM",
    "REDIS_HIGHMEM_XLARGE"], var.redis_node_type)
    error_message = "The node type must be REDIS_SHARED_CORE_NANO, REDIS_STANDARD_SMALL, REDIS_HIGHMEM_MEDIUM or REDIS_HIGHMEM_XLARGE."
  }

  validation {
    condition     = !(var.redis_profile == "durable" && var.redis_node_type == "REDIS_SHARED_CORE_NANO")
    error_message = "A shared-core node has no SLA and cannot be combined with redis_profile = \"durable\"."
  }
}

variable "redis_wait_for_replica" {
  description = "Whether a message counts as sent only when a replica of Redis has it too, so that a failover loses nothing that was accepted. Each message takes a round trip between two zones longer, and while a replica is replaced, messages wait on the senders' devices. It needs redis_profile = \"durable\"."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !(var.redis_wait_for_replica && var.redis_profile != "durable")
    error_message = "Without a replica, no message could be sent. Set redis_profile = \"durable\" as well, or leave redis_wait_for_replica unset."
  }
}

variable "redis_shards" {
  description = "Number of Redis shards, over which users are distributed. More shards handle more messages per second and hold more waiting messages. It can be changed without downtime."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.redis_shards >= 1 && var.redis_shards <= 125 && floor(var.redis_shards) == var.redis_shards
    error_message = "The number of shards must be a whole number from 1 to 125."
  }
}

variable "realtime_min_instances" {
  description = "Minimum number of realtime instances. With 0, the first user after a quiet time waits about a second longer. Instances up to the minimum are billed all the time."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.realtime_min_instances >= 0 && floor(var.realtime_min_instances) == var.realtime_min_instances
    error_message = "The number of instances must be a whole number, 0 or more."
  }
}

variable "realtime_max_instances" {
  description = "Maximum number of realtime instances. Each holds up to 950 sockets, so 10 instances serve 9,500 devices at the same time. It also limits the cost. The subnet has room for 100 instances."
  type        = number
  default     = 10
  nullable    = false

  # Each instance uses two of the subnet's 252 addresses, and twice as many while a new revision replaces the old one.
  # Addresses stay reserved for some minutes after an instance has ended.
  validation {
    condition = (var.realtime_max_instances >= 1 && var.realtime_max_instances <= 100 &&
    floor(var.realtime_max_instances) == var.realtime_max_instances)
    error_message = "The number of instances must be a whole number from 1 to 100."
  }

  validation {
    condition     = var.realtime_max_instances >= var.realtime_min_instances
    error_message = "realtime_max_instances must not be less than realtime_min_instances."
  }
}

variable "function_max_instances" {
  description = "Maximum number of instances of each HTTP function. Each handles 80 requests at the same time. It limits the cost, also during a flood of requests, and what one user gets from the allowances that each instance grants."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition = (var.function_max_instances >= 1 && var.function_max_instances <= 1000 &&
    floor(var.function_max_instances) == var.function_max_instances)
    error_message = "The number of instances must be a whole number from 1 to 1,000."
  }
}

variable "signups_hourly" {
  description = "Maximum number of sign-ups from one IP address per hour. 30 is enough for a classroom behind one address."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.signups_hourly >= 1 && var.signups_hourly <= 10000 && floor(var.signups_hourly) == var.signups_hourly
    error_message = "The number of sign-ups must be a whole number from 1 to 10,000."
  }
}

variable "watched_hourly" {
  description = "Maximum number of people whose presence one user may watch per hour on one instance of realtime. The browser watches the people of the conversations that are on the screen."
  type        = number
  default     = 250
  nullable    = false

  validation {
    condition     = var.watched_hourly >= 1 && var.watched_hourly <= 1000000 && floor(var.watched_hourly) == var.watched_hourly
    error_message = "The number of people must be a whole number from 1 to 1,000,000."
  }
}

variable "people_listed_hourly" {
  description = "Maximum number of distinct people that lists and searches show one user in an hour. It slows down the copying of the whole directory."
  type        = number
  default     = 500
  nullable    = false

  validation {
    condition = (var.people_listed_hourly >= 1 && var.people_listed_hourly <= 1000000 &&
    floor(var.people_listed_hourly) == var.people_listed_hourly)
    error_message = "The number of people must be a whole number from 1 to 1,000,000."
  }
}

variable "stranger_messages" {
  description = "Messages that may wait for a person from somebody to whom this person has never written."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.stranger_messages >= 1 && var.stranger_messages <= 1000 && floor(var.stranger_messages) == var.stranger_messages
    error_message = "The number of messages must be a whole number from 1 to 1,000."
  }
}

variable "stranger_bytes" {
  description = "Bytes of these messages as they are stored in Redis. The largest message has about 48 KiB, and it must fit."
  type        = number
  default     = 65536
  nullable    = false

  validation {
    condition     = var.stranger_bytes >= 49152 && var.stranger_bytes <= 524288 && floor(var.stranger_bytes) == var.stranger_bytes
    error_message = "The number of bytes must be a whole number from 49,152 to 524,288."
  }
}

variable "new_people_per_day" {
  description = "People to whom one person may write on one day (UTC) for the first time, not counting those who wrote first. More messages wait until the next day."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.new_people_per_day >= 1 && var.new_people_per_day <= 10000 && floor(var.new_people_per_day) == var.new_people_per_day
    error_message = "The number of people must be a whole number from 1 to 10,000."
  }
}

variable "new_people_unverified" {
  description = "The same for a person who has not confirmed the address of the account. At most new_people_per_day applies."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.new_people_unverified >= 1 && var.new_people_unverified <= 10000 && floor(var.new_people_unverified) == var.new_people_unverified
    error_message = "The number of people must be a whole number from 1 to 10,000."
  }
}

variable "log_level" {
  description = "Minimum level of the log messages of realtime and the functions: debug, info, warn or error."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "The level must be debug, info, warn or error."
  }
}

variable "audit_log_days" {
  description = "Days for which the log bucket keeps its copies of the audit log's entries. The audit log itself, which the admin panel shows, keeps them forever."
  type        = number
  default     = 400
  nullable    = false

  validation {
    condition     = var.audit_log_days >= 1 && var.audit_log_days <= 3650 && floor(var.audit_log_days) == var.audit_log_days
    error_message = "The number of days must be a whole number from 1 to 3,650."
  }
}

variable "lock_audit_log" {
  description = "Whether the log bucket of the audit log is locked: from then on, nobody, not even an Owner or Google's support, can shorten its retention or delete it or an entry. It cannot be undone, and the bucket outlives terraform destroy (infra/RUNBOOK.md, \"Audit log\")."
  type        = bool
  default     = false
  nullable    = false
}

variable "alert_emails" {
  description = "E-mail addresses to which alerts are sent. If empty, alerts are shown only in the console."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for a in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", a))])
    error_message = "Each entry must be an e-mail address, such as \"ops@example.org\"."
  }
}

variable "prober_minutes" {
  description = "Minutes between two runs of the prober, which sends a message through the whole chat: 5, 10, 15, 20 or 30. Messages of people who are connected are measured all the time, so it matters while nobody is. With 0 it never runs by itself. Nothing then notices that messages are not delivered while nobody is connected, and the figures of the admin panel do not reach Cloud Monitoring."
  type        = number
  default     = 15
  nullable    = false

  validation {
    condition     = contains([0, 5, 10, 15, 20, 30], var.prober_minutes)
    error_message = "The number of minutes must be 5, 10, 15, 20 or 30, or 0 for no runs."
  }
}

variable "billing_account" {
  description = "Billing account for a budget, such as \"0123AB-4567CD-89EF01\". If empty, there is no budget. The person who applies needs the role Billing Account Costs Manager on it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(|[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})$", var.billing_account))
    error_message = "A billing account id looks like \"0123AB-4567CD-89EF01\". To list the ids, run: gcloud billing accounts list."
  }
}

variable "monthly_budget" {
  description = "Monthly budget in whole units of the billing account's currency; mails are sent at 50 %, 90 % and 100 %, and when 100 % is forecast. No service is switched off, except by cost_cap_percent. It applies only with billing_account."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "The budget must be a whole number, 1 or more."
  }
}

variable "cost_cap_percent" {
  description = "Costs of a month, in percent of monthly_budget, at which the chat is switched off until somebody switches it on again (infra/RUNBOOK.md, \"Cost cap\"), such as 300. The costs are known hours later, so the bill is higher. 0: never. It needs billing_account."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.cost_cap_percent == 0 || var.cost_cap_percent >= 100 && var.cost_cap_percent <= 10000 && floor(var.cost_cap_percent) == var.cost_cap_percent
    error_message = "The cap must be a whole number from 100 to 10000, or 0 for no cap. Mails are sent before, from 50 % of the budget."
  }

  validation {
    condition     = var.cost_cap_percent == 0 || var.billing_account != ""
    error_message = "A cost cap needs a budget, so also set billing_account."
  }
}

variable "grant_all_users" {
  description = "Whether the HTTP functions are made public by a grant to allUsers. Set it to false where an organization policy (iam.allowedPolicyMemberDomains) refuses that grant, and make them public with gcloud (infra/RUNBOOK.md, \"Troubleshooting\"). Realtime does not need a grant."
  type        = bool
  default     = true
  nullable    = false
}

variable "protect" {
  description = "Whether resources that hold data or serve users are protected against deletion, in Terraform and, if the resource supports it, in Google Cloud. Before terraform destroy, apply once with false."
  type        = bool
  default     = true
  nullable    = false
}

variable "adopt_identity_platform" {
  description = "Set to true if Identity Platform is already enabled in this project, either by hand or by an earlier apply whose state is lost. It cannot be deleted, only imported."
  type        = bool
  default     = false
  nullable    = false
}

variable "adopt_firebase_rules" {
  description = "Set to true if the project already has Firestore rules, because Firebase was used in it. The apply imports their release and replaces it."
  type        = bool
  default     = false
  nullable    = false
}
