# A zip of files of the repository and of files made here. A module, so that tests can leave
# out what takes long: Terraform compares all contents with each other.

terraform {
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.8"
    }
  }
}

variable "root" {
  description = "Folder of the sources."
  type        = string
  nullable    = false
}

variable "sources" {
  description = "Files in it, all of them text."
  type        = list(string)
  nullable    = false
}

variable "made" {
  description = "Further files: name → content."
  type        = map(string)
  nullable    = false
}

variable "path" {
  description = "Where the zip is written."
  type        = string
  nullable    = false
}

data "archive_file" "this" {
  type             = "zip"
  output_path      = var.path
  output_file_mode = "0644"

  dynamic "source" {
    for_each = merge({ for f in var.sources : f => file("${var.root}/${f}") }, var.made)
    content {
      filename = source.key
      content  = source.value
    }
  }
}

output "path" {
  description = "Where the zip is."
  value       = data.archive_file.this.output_path
}

output "sha256" {
  description = "Hash of the zip."
  value       = data.archive_file.this.output_sha256
}
