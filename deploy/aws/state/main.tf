# SPDX-License-Identifier: Apache-2.0
# The bucket that the state of all environments is kept in. Applied once, by hand; its own small state stays on disk and
# can be made again with terraform import.

terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.32.1"
    }
  }
}

variable "bucket" {
  description = "The bucket's name, unique among all buckets there are."
  type        = string
}

variable "region" {
  description = "Where it is."
  type        = string
}

provider "aws" {
  region = var.region
}

resource "aws_kms_key" "state" {
  description             = "${var.bucket}: state of deployments"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

module "logs" {
  source      = "../bucket"
  name        = "${var.bucket}-logs"
  expire_days = 400
}

module "state" {
  source          = "../bucket"
  name            = var.bucket
  kms_key_arn     = aws_kms_key.state.arn
  log_bucket      = module.logs.id
  noncurrent_days = 365
}
