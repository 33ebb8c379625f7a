# SPDX-License-Identifier: Apache-2.0

module "missions" {
  source      = "./missions"
  definitions = coalesce(var.definitions, "${path.module}/../../missions")
}

locals {
  name        = "${var.name}-${var.environment}"
  account     = data.aws_caller_identity.current.account_id
  partition   = data.aws_partition.current.partition
  missions    = module.missions.missions
  instruments = { for key, value in module.missions.instruments : key => value if var.file_by_instrument }
  root        = "lake"

  tags = {
    project     = var.name
    environment = var.environment
    managed_by  = "terraform"
  }
}
