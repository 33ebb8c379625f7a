# SPDX-License-Identifier: Apache-2.0
# Missions and instruments, read from the definitions of this checkout: there is no second list that could disagree.

variable "definitions" {
  description = "The folder of definitions, missions/ of the checkout."
  type        = string
}

locals {
  mission_files    = fileset(var.definitions, "*/mission.yaml")
  instrument_files = fileset(var.definitions, "*/*/instrument.yaml")
  missions         = toset([for file in local.mission_files : dirname(file) if !startswith(file, "_")])
  instruments = {
    for file in local.instrument_files :
    dirname(file) => { mission = dirname(dirname(file)), instrument = basename(dirname(file)) }
    if !startswith(file, "_")
  }
}

output "missions" {
  description = "Names of the missions."
  value       = local.missions
}

output "instruments" {
  description = "Mission and instrument by mission/instrument."
  value       = local.instruments
}
