# SPDX-License-Identifier: Apache-2.0
"""The infrastructure has none of the faults of the reference; and each check finds the fault that it is about."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from tests.deploy.commands import assert_understood
from tests.deploy.infrastructure import FAULTS, ROOT, missions_root, read_code

CODE = read_code()
BUCKET, BUCKETS, QUEUES = "aws/bucket/main.tf", "aws/buckets.tf", "aws/queues.tf"
DATABASE = """
resource "aws_db_instance" "books" {
  publicly_accessible = true
  storage_encrypted   = true
  skip_final_snapshot = false
  backup_retention_period = 7
}
"""
needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not here")

SEEDED = [
    ("public_database", "aws/compute.tf", "", DATABASE),
    ("public_database", "aws/compute.tf", "", DATABASE.replace("true\n", "false\n")),
    ("public_database", "aws/compute.tf", "", DATABASE.replace("= true", "= false", 1).replace("= 7", "= 0")),
    ("public_addresses", "aws/compute.tf", "assign_public_ip = false", "assign_public_ip = true"),
    ("open_to_the_internet", "aws/compute.tf", "cidr_ipv4         = each.key", 'cidr_ipv4         = "0.0.0.0/0"'),
    ("open_to_the_internet", "aws/variables.tf", ">= 16", ">= 0"),
    ("public_buckets", BUCKET, "restrict_public_buckets = true", "restrict_public_buckets = false"),
    ("public_buckets", BUCKET, "aws:SecureTransport", "aws:CurrentTime"),
    ("public_buckets", BUCKET, "BucketOwnerEnforced", "ObjectWriter"),
    ("public_buckets", QUEUES, "", 'resource "aws_s3_bucket" "more" {\n  bucket = "more"\n}\n'),
    ("unencrypted", BUCKET, '"aws:kms"', '"AES256"'),
    ("unencrypted", BUCKETS, "kms_key_arn = aws_kms_key.second.arn", ""),
    ("unencrypted", QUEUES, "sqs_managed_sse_enabled    = true", "sqs_managed_sse_enabled    = false"),
    ("unencrypted", "aws/alarms.tf", "kms_master_key_id = aws_kms_key.topics.id", ""),
    ("no_dead_letters", QUEUES, "deadLetterTargetArn", "nothing"),
    ("no_dead_letters", "aws/compute.tf", "arn = aws_sqs_queue.schedules_dead.arn", ""),
    ("no_alarms", "aws/alarms.tf", "ApproximateAgeOfOldestMessage", "NumberOfMessagesSent"),
    ("no_alarms", "aws/alarms.tf", "alarm_actions       = [aws_sns_topic.alarms.arn]", ""),
    ("no_alarms", "aws/alarms.tf", '"breaching"', '"ignore"'),
    ("no_alarms", "aws/alarms.tf", "{ schedules = aws_sqs_queue.schedules_dead.name },", ""),
    ("no_alarms", "aws/alarms.tf", '"FORECASTED"', '"ACTUAL"'),
    ("no_subscription", QUEUES, "aws_sqs_queue.team[each.key].arn\n  raw_message", '"x"\n  raw_message'),
    ("no_subscription", QUEUES, "queue_arn = aws_sqs_queue.incoming[each.key].arn", 'queue_arn = "x"'),
    ("no_log_retention", "aws/compute.tf", "retention_in_days = var.log_days", "retention_in_days = 0"),
    ("no_log_retention", BUCKETS, "expire_days = var.log_days", ""),
    ("no_replication", "aws/replication.tf", 'status   = "Enabled"', 'status   = "Disabled"'),
    ("no_replication", "aws/replication.tf", '"${local.root}/journal/", ', ""),
    ("no_replication", BUCKETS, "providers   = { aws = aws.second }", ""),
    ("no_replication", "aws/variables.tf", "var.second_region != var.region", "true"),
    ("no_lifecycle", BUCKET, "abort_incomplete_multipart_upload", "expiration"),
    ("no_lifecycle", BUCKETS, '"DEEP_ARCHIVE"', '"STANDARD"'),
    ("can_be_deleted", BUCKETS, "lock_days   = var.archive_lock_days", ""),
    ("can_be_deleted", BUCKETS, 'keep_prefixes = ["${local.root}/raw/", ', "keep_prefixes = ["),
    ("changed_without_a_trace", BUCKET, 'status = "Enabled"\n  }', 'status = "Suspended"\n  }'),
    ("can_be_deleted", BUCKET, "prevent_destroy = true", "prevent_destroy = false"),
    ("deleted_by_a_role", "aws/roles.tf", "delete = local.passing", "delete = local.all_lake"),
    ("too_many_rights", "aws/compute.tf", '"logs:CreateLogStream", "logs:PutLogEvents"', '"logs:*"'),
    ("too_many_rights", "aws/compute.tf", '["${aws_cloudwatch_log_group.task[each.key].arn}:*"]', '["*"]'),
    ("too_many_rights", QUEUES, 'identifiers = ["sns.amazonaws.com"]', 'identifiers = ["*"]'),
    ("rights_out_of_sight", "aws/roles.tf", "data.aws_iam_policy_document.role[each.key].json", "jsonencode({})"),
    ("anybody_may_send", QUEUES, "aws:SourceAccount", "aws:PrincipalTag/x"),
    ("anybody_may_send", QUEUES, "aws:SourceArn", "aws:PrincipalTag/x"),
    ("secrets_in_the_open", "aws/compute.tf", "", 'locals {\n  token = "abc"\n}\n'),
    ("secrets_in_the_open", "aws/variables.tf", 'startswith(arn, "arn:")', "true"),
    ("own_account", "aws/locals.tf", "data.aws_caller_identity.current.account_id", f'"{10**11 + 7}"'),
    ("two_defaults", "aws/locals.tf", "${var.name}-${var.environment}", "${var.name}-${terraform.workspace}"),
    ("two_defaults", "aws/variables.tf", "such as production or development.\"", 'x"\n  default = "production"'),
    ("not_pinned", "aws/versions.tf", '"6.32.1"', '">= 6.0"'),
    ("not_pinned", "aws/versions.tf", "use_lockfile = true", ""),
    ("not_pinned", "aws/variables.tf", "@sha256:", ":"),
    ("prefixes_overlap", BUCKETS, '"${local.root}/exports/"', '"${local.root}/exports/l1"'),
    ("prefixes_overlap", BUCKETS, '"${local.root}/exports/"', '"${local.root}/raw/l1/"'),
    ("prefixes_overlap", "aws/bucket/variables.tf", 'endswith(t.prefix, "/")', "true"),
    ("another_list_of_missions", BUCKETS, "= local.missions", '= toset(["hermes", "padre"])'),
    ("another_list_of_missions", QUEUES, "for_each   = local.missions", 'for_each   = toset(["x"])'),
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_the_infrastructure_has_no_fault(name: str) -> None:
    assert list(FAULTS[name](CODE)) == []


@pytest.mark.parametrize(("name", "path", "old", "new"), SEEDED, ids=[f"{s[0]}-{i}" for i, s in enumerate(SEEDED)])
def test_a_seeded_fault_is_found(name: str, path: str, old: str, new: str) -> None:
    assert list(FAULTS[name](CODE.with_change(path, old, new))) != []


def test_every_fault_was_seeded() -> None:
    assert {seed[0] for seed in SEEDED} == set(FAULTS)


def test_every_input_and_output_says_what_it_is() -> None:
    for kind in ("variable", "output"):
        for address, body in CODE.blocks(kind):
            assert body.get("description"), address


def test_the_example_gives_what_has_no_default_and_nothing_unknown() -> None:
    known = {address.split(":")[1]: body for address, body in CODE.blocks("variable") if address.startswith("aws/var")}
    example = (ROOT / "aws" / "production.tfvars.example").read_text()
    given = set(re.findall(r"^(\w+)\s*=", example, re.MULTILINE))
    assert {name for name, body in known.items() if "default" not in body} <= given <= set(known)


def test_tasks_run_commands_that_there_are() -> None:
    for kind in ("services", "jobs"):
        for task in CODE.local("aws/compute.tf", kind).values():
            assert_understood(list(task["command"]))
            assert task["role"] in CODE.local("aws/roles.tf", "stages")


def test_missions_and_instruments_are_found_by_the_patterns_that_terraform_uses() -> None:
    """The patterns as Python reads them; Terraform's own answer is the next test's."""
    definitions = read_definitions(CHECKOUT / "missions")
    path = "aws/missions/main.tf"
    found = {}
    for name in ("mission_files", "instrument_files"):
        pattern = re.search(r'"([^"]+)"', CODE.local(path, name))
        assert pattern is not None
        files = (file.relative_to(CHECKOUT / "missions") for file in (CHECKOUT / "missions").glob(pattern[1]))
        found[name] = {str(file.parent) for file in files if not str(file).startswith("_")}
    assert found["mission_files"] == {mission.name for mission in definitions.missions}
    assert found["instrument_files"] == {f"{m.name}/{i.name}" for m in definitions.missions for i in m.instruments}


@needs_terraform
def test_terraform_finds_the_missions_and_instruments_of_the_definitions() -> None:
    definitions = read_definitions(CHECKOUT / "missions")
    asked = "jsonencode([local.missions, keys(local.instruments)])\n"
    command = ["terraform", f"-chdir={missions_root()}", "console", f"-var=definitions={CHECKOUT / 'missions'}"]
    environment = os.environ | {"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1"}
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=True)
    missions, instruments = json.loads(json.loads(done.stdout))
    assert missions == sorted(mission.name for mission in definitions.missions)
    assert instruments == sorted(f"{m.name}/{i.name}" for m in definitions.missions for i in m.instruments)


@needs_terraform
def test_terraform_finds_all_files_well_formed() -> None:
    command = ["terraform", "fmt", "-check", "-recursive", str(ROOT)]
    environment = os.environ | {"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
