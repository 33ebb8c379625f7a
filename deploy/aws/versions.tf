# SPDX-License-Identifier: Apache-2.0

terraform {
  required_version = ">= 1.10.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.32.1"
    }
  }

  # Bucket, key and region are given with -backend-config=production.s3.tfbackend, one file for each environment.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "second"
  region = var.second_region

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# An environment is named in its own settings and has a state of its own. A workspace would be a second, silent name.
resource "terraform_data" "no_workspace" {
  input = var.environment

  lifecycle {
    precondition {
      condition     = terraform.workspace == "default"
      error_message = "Workspaces are not used here. Run terraform workspace select default, and give -var-file."
    }
  }
}
