# SPDX-License-Identifier: Apache-2.0
# What belongs into receive.toml, forward.toml, delivery.toml and backup.toml, and into the settings of others.

output "lake" {
  description = "SWXLAKE_ROOT."
  value       = "s3://${module.lake.id}/${local.root}"
}

output "incoming" {
  description = "For each mission: where telemetry is sent to, and the queue of its events (sources.*.s3 of receive.toml)."
  value = {
    for mission in local.missions :
    mission => { address = "s3://${module.incoming[mission].id}", queue = aws_sqs_queue.incoming[mission].url }
  }
}

output "instrument_buckets" {
  description = "For each mission/instrument the bucket of [filing]."
  value       = { for key in keys(local.instruments) : key => module.instrument[key].id }
}

output "public" {
  description = "Where products for teams are delivered to."
  value       = "s3://${module.public.id}"
}

output "vault" {
  description = "Where backups are kept, in the second region."
  value       = "s3://${module.vault.id}/vault"
}

output "team_queues" {
  description = "For each team the queue of the mirror's settings."
  value       = { for team in keys(var.teams) : team => aws_sqs_queue.team[team].url }
}

output "roles" {
  description = "ARNs of the roles by who takes them."
  value       = { for name in keys(local.roles) : name => aws_iam_role.this[name].arn }
}
