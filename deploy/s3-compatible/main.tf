# SPDX-License-Identifier: Apache-2.0
# The same buckets in another store that speaks S3 (MinIO, Ceph, a ground station's own): no keys, queues, roles or alarms
# of AWS. Encryption, rights and a second site are set up with the store's own tools; see docs/how-to/run-on-aws.md.

terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.32.1"
    }
  }

  # Given with -backend-config: a bucket of the same store, with its endpoint.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

variable "name" {
  description = "Begins the names of all buckets."
  type        = string
}

variable "endpoint" {
  description = "Address of the store."
  type        = string

  validation {
    condition     = startswith(var.endpoint, "https://")
    error_message = "Telemetry and secrets do not travel in the open. Give an https:// address."
  }
}

variable "region" {
  description = "What the store calls its region; many take any word."
  type        = string
  default     = "us-east-1"
}

variable "archive_lock_days" {
  description = "For how long nobody can delete or change a backup; 0 where the store has no object lock."
  type        = number
  default     = 365
}

# Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, never from here.
provider "aws" {
  region                      = var.region
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true

  endpoints {
    s3 = var.endpoint
  }
}

module "missions" {
  source      = "../aws/missions"
  definitions = "${path.module}/../../missions"
}

locals {
  buckets = toset(concat(
    ["lake", "public", "vault"],
    [for mission in module.missions.missions : "incoming-${replace(mission, "_", "-")}"],
  ))
  locked = toset(var.archive_lock_days > 0 ? ["vault"] : [])
}

resource "aws_s3_bucket" "this" {
  for_each            = local.buckets
  bucket              = "${var.name}-${each.key}"
  object_lock_enabled = contains(local.locked, each.key)

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  for_each   = local.locked
  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.archive_lock_days
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "noncurrent-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }
  }
}

output "lake" {
  description = "SWXLAKE_ROOT; AWS_ENDPOINT_URL is the endpoint."
  value       = "s3://${aws_s3_bucket.this["lake"].id}/lake"
}

output "buckets" {
  description = "Names of all buckets."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}
