# A zip of files of the repository and of generated files. It is a module, so that tests can leave it out: it is slow,
# because Terraform compares all contents with each other.

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
  description = "Text files in the folder root."
  type        = list(string)
  nullable    = false
}

variable "made" {
  description = "Content of the generated files, by name."
  type        = map(string)
  nullable    = false
}

variable "path" {
  description = "Path of the zip to write."
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
  description = "Path of the zip."
  value       = data.archive_file.this.output_path
}

output "sha256" {
  description = "SHA-256 hash of the zip."
  value       = data.archive_file.this.output_sha256
}
