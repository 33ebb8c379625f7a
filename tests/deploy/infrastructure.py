# SPDX-License-Identifier: Apache-2.0
"""Terraform code as it was parsed, and faults that it may have: those of the reference, and those near them.

A fault is a function from the code to complaints; each is named in FAULTS. Nothing is asked of a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from lake.config import CHECKOUT

ROOT = CHECKOUT / "deploy"
ONLY_EVERYTHING = {"ecr:GetAuthorizationToken"}  # the action knows no other resource than *
OWN = {f"aws/variables.tf:{name}" for name in ("environment", "region", "second_region", "name")}
BLOCK = re.compile(r"^\w[^\n]*\{(?:\}|\n.*?^\})$", re.DOTALL | re.MULTILINE)
CODE_FORM = SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)
Body = dict[str, Any]


@cache
def parsed(text: str) -> Body:
    """The blocks of one file. They are read one by one: where one is changed, the others are known."""
    found: Body = {}
    for block in BLOCK.findall(text):
        for kind, bodies in _block(block).items():
            found.setdefault(kind, []).extend(bodies)
    rest = [line for line in BLOCK.sub("", text).splitlines() if line and not line.startswith("#")]
    assert not rest, f"is no block: {rest}"
    return found


@cache
def _block(text: str) -> Body:
    found: Body = hcl2.loads(text, serialization_options=CODE_FORM)
    return found


@dataclass(frozen=True)
class Code:
    """Texts of all files by their path below deploy/."""

    texts: dict[str, str]

    def with_change(self, path: str, old: str, new: str) -> Code:
        """The code with one thing written in another way; `old` has to be there. Without `old`, `new` is appended."""
        text = self.texts[path]
        assert old in text, f"{path} has no {old!r}"
        return Code(self.texts | {path: text.replace(old, new) if old else text + new})

    def blocks(self, kind: str, type_: str = "") -> Iterator[tuple[str, Body]]:
        """Address and body of all blocks of a kind: `resource` and `data` with a type, or `module`, `variable`..."""
        for path, text in self.texts.items():
            for block in parsed(text).get(kind, []):
                for first, rest in block.items():
                    if kind not in ("resource", "data"):
                        yield f"{path}:{first}", rest
                    elif first == type_:
                        yield from ((f"{path}:{first}.{name}", body) for name, body in rest.items())

    def local(self, path: str, name: str) -> Any:
        """A local value of a file, as it is written."""
        return next(values[name] for values in parsed(self.texts[path])["locals"] if name in values)


def read_code() -> Code:
    """All that there is below deploy/."""
    return Code({str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.tf"))})


def one(body: Body, key: str) -> Body:
    """A block within a block, empty if there is none."""
    found = body.get(key) or [{}]
    return dict(found[0])


def statements(document: Body) -> Iterator[Body]:
    """All statements of a policy document, those that are written many times included."""
    yield from document.get("statement", [])
    for block in document.get("dynamic", []):
        yield from block.get("statement", {}).get("content", [])


def conditions(statement: Body) -> set[str]:
    found = {condition["variable"] for condition in statement.get("condition", [])}
    for block in statement.get("dynamic", []):
        found |= {condition["variable"] for condition in block.get("condition", {}).get("content", [])}
    return found


# ---- what is open ------------------------------------------------------------------------------------------------
def public_database(code: Code) -> Iterator[str]:
    for type_ in ("aws_db_instance", "aws_rds_cluster", "aws_rds_cluster_instance"):
        for address, body in code.blocks("resource", type_):
            if body.get("publicly_accessible") is not False:
                yield f"{address}: is public"
            if type_ != "aws_rds_cluster_instance" and body.get("storage_encrypted") is not True:
                yield f"{address}: is not encrypted"
            if body.get("skip_final_snapshot") is not False or not body.get("backup_retention_period"):
                yield f"{address}: is lost when it is deleted"


def public_addresses(code: Code) -> Iterator[str]:
    for path, text in code.texts.items():
        if re.search(r"assign_public_ip\s*=\s*true|map_public_ip_on_launch\s*=\s*true", text):
            yield f"{path}: a task has a public address"


def open_to_the_internet(code: Code) -> Iterator[str]:
    for type_ in ("aws_vpc_security_group_ingress_rule", "aws_security_group_rule"):
        for address, body in code.blocks("resource", type_):
            if re.search(r"(0\.0\.0\.0|::)/0", str(body)):
                yield f"{address}: anybody may connect"
    for address, body in code.blocks("resource", "aws_security_group"):
        if "ingress" in body:
            yield f"{address}: says who may connect out of sight of this check"
    if ">= 16" not in str(dict(code.blocks("variable"))["aws/variables.tf:forward_clients"]):
        yield "forward_clients: may be the whole internet"


def public_buckets(code: Code) -> Iterator[str]:
    found = dict(code.blocks("resource", "aws_s3_bucket_public_access_block"))
    block = found.get("aws/bucket/main.tf:aws_s3_bucket_public_access_block.this", {})
    for key in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
        if block.get(key) is not True:
            yield f"bucket: {key} is not set"
    for address, _ in code.blocks("resource", "aws_s3_bucket"):
        if not address.startswith(("aws/bucket/", "s3-compatible/")):
            yield f"{address}: is made by hand, not by the module"
    if list(code.blocks("resource", "aws_s3_bucket_acl")):
        yield "bucket: has an access list"
    owners = dict(code.blocks("resource", "aws_s3_bucket_ownership_controls"))
    if "BucketOwnerEnforced" not in str(owners):
        yield "bucket: others may own objects"
    policy = dict(code.blocks("data", "aws_iam_policy_document"))["aws/bucket/main.tf:aws_iam_policy_document.this"]
    if not any(s.get("effect") == "Deny" and "aws:SecureTransport" in conditions(s) for s in statements(policy)):
        yield "bucket: may be read without TLS"


# ---- what is not encrypted ---------------------------------------------------------------------------------------
def unencrypted(code: Code) -> Iterator[str]:
    rules = dict(code.blocks("resource", "aws_s3_bucket_server_side_encryption_configuration"))
    if '"aws:kms"' not in str(rules):
        yield "bucket: has no encryption by a key"
    for address, body in code.blocks("module"):
        if body["source"].endswith("/bucket") and "logs" not in address and "kms_key_arn" not in body:
            yield f"{address}: has no key"
    for type_, key in (
        ("aws_sqs_queue", "sqs_managed_sse_enabled"),
        ("aws_sns_topic", "kms_master_key_id"),
        ("aws_cloudwatch_log_group", "kms_key_id"),
        ("aws_kms_key", "enable_key_rotation"),
    ):
        yield from (f"{address}: has no {key}" for address, body in code.blocks("resource", type_) if not body.get(key))


# ---- what is lost without a word ---------------------------------------------------------------------------------
def no_dead_letters(code: Code) -> Iterator[str]:
    for address, body in code.blocks("resource", "aws_sqs_queue"):
        if not address.endswith("_dead") and "deadLetterTargetArn" not in str(body.get("redrive_policy")):
            yield f"{address}: messages are lost when they cannot be done with"
    for address, body in code.blocks("resource", "aws_scheduler_schedule"):
        if not one(one(body, "target"), "dead_letter_config").get("arn"):
            yield f"{address}: nobody learns of a job that was not started"


def no_alarms(code: Code) -> Iterator[str]:
    alarms = dict(code.blocks("resource", "aws_cloudwatch_metric_alarm"))
    needed = {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "RunningTaskCount"}
    needed |= {"ReplicationLatency", "OperationsFailedReplication", "5xxErrors"}
    yield from (f"no alarm on {name}" for name in needed - {alarm["metric_name"] for alarm in alarms.values()})
    silent = [address for address, alarm in alarms.items() if not alarm.get("alarm_actions")]
    yield from (f"{address}: tells nobody" for address in silent)
    watched = str(alarms)
    for address, _ in code.blocks("resource", "aws_sqs_queue"):
        if address.endswith("_dead") and address.partition(":")[2] not in watched:
            yield f"{address}: has no alarm"
    heartbeats = [alarm for alarm in alarms.values() if alarm["metric_name"] == "RunningTaskCount"]
    if any(alarm.get("treat_missing_data") != "breaching" for alarm in heartbeats):
        yield "a heartbeat that is missing is no alarm"
    if not any("job_failed" in address for address, _ in code.blocks("resource", "aws_cloudwatch_event_target")):
        yield "nobody learns of a job that failed"
    for address, body in code.blocks("resource", "aws_budgets_budget"):
        if {note["notification_type"] for note in body.get("notification", [])} != {"ACTUAL", "FORECASTED"}:
            yield f"{address}: is told too late"
    if not list(code.blocks("resource", "aws_budgets_budget")):
        yield "there is no budget"


def no_subscription(code: Code) -> Iterator[str]:
    """A queue that a topic may send to, and nothing that makes it do so; or a bucket without its queue."""
    queues = str([body.get("endpoint") for _, body in code.blocks("resource", "aws_sns_topic_subscription")])
    events = str([body for _, body in code.blocks("resource", "aws_s3_bucket_notification")])
    for address, document in code.blocks("data", "aws_iam_policy_document"):
        for statement in statements(document):
            if "sqs:SendMessage" not in statement.get("actions", []) or "principals" not in statement:
                continue
            sender = statement["principals"][0]["identifiers"]
            queue = re.sub(r"^\$\{|\[.*", "", statement["resources"][0])
            if queue not in {"sns.amazonaws.com": queues, "s3.amazonaws.com": events}.get(sender[0], ""):
                yield f"{address}: {sender[0]} may send to {queue}, and nothing makes it do so"


def no_log_retention(code: Code) -> Iterator[str]:
    for address, body in code.blocks("resource", "aws_cloudwatch_log_group"):
        if not body.get("retention_in_days"):
            yield f"{address}: is kept for ever"
    for address, body in code.blocks("module"):
        if "logs" in address and not body.get("expire_days"):
            yield f"{address}: is kept for ever"


# ---- what there is one of ----------------------------------------------------------------------------------------
def no_replication(code: Code) -> Iterator[str]:
    found = dict(code.blocks("resource", "aws_s3_bucket_replication_configuration"))
    body = found.get("aws/replication.tf:aws_s3_bucket_replication_configuration.lake", {})
    rules = str(body)
    if "'status': 'Enabled', 'filter'" not in rules or "module.replica.arn" not in rules:
        yield "lake: is not replicated"
    if "sse_kms_encrypted_objects" not in rules or "metrics" not in rules:
        yield "lake: what is encrypted is not replicated, or nobody sees how far it is"
    copied = str(code.local("aws/replication.tf", "replicated"))
    yield from (f"lake: {part} is not replicated" for part in ("/raw/", "/journal/", "/exports/") if part not in copied)
    modules = dict(code.blocks("module"))
    for name in ("replica", "vault"):
        if modules[f"aws/buckets.tf:{name}"].get("providers") != {"aws": "${aws.second}"}:
            yield f"{name}: is in the same region"
    if "var.second_region != var.region" not in str(dict(code.blocks("variable"))["aws/variables.tf:second_region"]):
        yield "second_region: may be the first one"


def no_lifecycle(code: Code) -> Iterator[str]:
    for address, body in code.blocks("resource", "aws_s3_bucket_lifecycle_configuration"):
        for word in ("abort_incomplete_multipart_upload", "noncurrent_version_expiration"):
            if word not in str(body):
                yield f"{address}: has no {word}"
    if len(list(code.blocks("resource", "aws_s3_bucket_lifecycle_configuration"))) < len(("aws", "s3-compatible")):
        yield "bucket: has no lifecycle"
    modules = dict(code.blocks("module"))
    for name, cold in (("lake", "GLACIER_IR"), ("replica", "DEEP_ARCHIVE"), ("vault", "GLACIER_IR")):
        classes = {step["class"] for step in modules[f"aws/buckets.tf:{name}"].get("transitions", [])}
        if classes != {cold}:
            yield f"{name}: moves to {sorted(classes)}, not to {cold}"


def can_be_deleted(code: Code) -> Iterator[str]:
    modules = dict(code.blocks("module"))
    for name in ("replica", "vault"):
        if "lock_days" not in modules[f"aws/buckets.tf:{name}"]:
            yield f"{name}: has no object lock"
    if {"${local.root}/raw/", "${local.root}/journal/"} - {*modules["aws/buckets.tf:lake"].get("keep_prefixes", [])}:
        yield "lake: what cannot be made again can be deleted"
    for address, body in code.blocks("resource", "aws_s3_bucket"):
        if one(body, "lifecycle").get("prevent_destroy") is not True:
            yield f"{address}: goes with the code that describes it"


def changed_without_a_trace(code: Code) -> Iterator[str]:
    versioned = [str(body) for _, body in code.blocks("resource", "aws_s3_bucket_versioning")]
    if len(versioned) < len(("aws", "s3-compatible")) or any("'Enabled'" not in body for body in versioned):
        yield "bucket: keeps no versions"


def deleted_by_a_role(code: Code) -> Iterator[str]:
    for name, stage in code.local("aws/roles.tf", "stages").items():
        if re.search(r"all_lake|journal|/raw/|vault|replica|local\.lake\}/\*", str(stage["delete"])):
            yield f"{name}: may delete what cannot be made again"


# ---- who may do what ---------------------------------------------------------------------------------------------
def too_many_rights(code: Code) -> Iterator[str]:
    for address, document in code.blocks("data", "aws_iam_policy_document"):
        for statement in statements(document):
            if statement.get("effect") == "Deny":
                continue
            actions, resources = statement["actions"], statement.get("resources", [])
            if "*" in str(actions):
                yield f"{address}: allows {actions}"
            of_a_key = address == "aws/keys.tf:aws_iam_policy_document.key"
            everything = "*" in resources if isinstance(resources, list) else '"*"' in resources
            if everything and not of_a_key and set(actions) != ONLY_EVERYTHING:
                yield f"{address}: {actions} on everything"
            if any("*" in principal.get("identifiers", []) for principal in statement.get("principals", [])):
                yield f"{address}: allows anybody"


def rights_out_of_sight(code: Code) -> Iterator[str]:
    for type_ in ("aws_iam_role_policy", "aws_sqs_queue_policy", "aws_sns_topic_policy", "aws_s3_bucket_policy"):
        for address, body in code.blocks("resource", type_):
            if not re.fullmatch(r"\$\{data\.aws_iam_policy_document\..*\.json\}", str(body["policy"])):
                yield f"{address}: is written out of sight of this check"
    for type_ in ("aws_iam_role_policy_attachment", "aws_iam_policy", "aws_iam_user", "aws_iam_access_key"):
        yield from (f"{address}: no {type_} is needed" for address, _ in code.blocks("resource", type_))


def anybody_may_send(code: Code) -> Iterator[str]:
    """Services that act for whoever asks them: without the account and the source, for everybody."""
    for address, document in code.blocks("data", "aws_iam_policy_document"):
        for statement in statements(document):
            given = {one["type"]: one["identifiers"] for one in statement.get("principals", [])}
            who = given.get("Service", given.get("AWS", []))
            named = conditions(statement)
            if "events.amazonaws.com" in who or not {"sqs:SendMessage", "sns:Publish"} & {*statement["actions"]}:
                continue
            if given and "aws:SourceAccount" not in named:
                yield f"{address}: {who} may send for any account"
            if {"s3.amazonaws.com", "sns.amazonaws.com"} & {*who} and "aws:SourceArn" not in named:
                yield f"{address}: {who} may send for any source"


def secrets_in_the_open(code: Code) -> Iterator[str]:
    for path, text in code.texts.items():
        for line in re.findall(r"(?im)^.*\b(?:password|secret_string|secret_key|access_key|token)\b\s*=.*$", text):
            yield f"{path}: {line.strip()}"
    if 'startswith(arn, "arn:")' not in code.texts["aws/variables.tf"]:
        yield "secrets: may be given as values"


# ---- what is true for one deployment alone -----------------------------------------------------------------------
def own_account(code: Code) -> Iterator[str]:
    for path, text in code.texts.items():
        yield from (f"{path}: {number}" for number in re.findall(r"\b\d{12}\b", text))


def two_defaults(code: Code) -> Iterator[str]:
    """A workspace that is not named is another one in each root: so none is used, and the environment is given."""
    for path, text in code.texts.items():
        for use in re.findall(r"terraform\.workspace.*", text):
            if use != 'terraform.workspace == "default"':
                yield f"{path}: {use}"
    for address, body in code.blocks("variable"):
        if address in OWN and "default" in body:
            yield f"{address}: has a default that may be another's"


def not_pinned(code: Code) -> Iterator[str]:
    versions = set()
    for path, text in code.texts.items():
        for block in parsed(text).get("terraform", []):
            provider = one(block, "required_providers").get("aws", {})
            versions |= {provider["version"]} if "version" in provider else set()
            backend = one(block, "backend").get("s3")
            if backend is not None and backend != {"encrypt": True, "use_lockfile": True}:
                yield f"{path}: the state is not locked or not encrypted"
    if len(versions) != 1 or not all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions):
        yield f"the provider is {sorted(versions)}"
    if "@sha256:" not in str(dict(code.blocks("variable"))["aws/variables.tf:image"]):
        yield "image: may be another one tomorrow"


def prefixes_overlap(code: Code) -> Iterator[str]:
    """Prefixes that begin with each other, or end within a word: l1 is one of l1c, too."""
    lists = [
        (address, [step["prefix"] for step in body.get("transitions", [])]) for address, body in code.blocks("module")
    ]
    lists += [(address, body.get("keep_prefixes", [])) for address, body in code.blocks("module")]
    lists.append(("replicated", code.local("aws/replication.tf", "replicated")))
    for address, prefixes in lists:
        yield from (f"{address}: {prefix} ends within a word" for prefix in prefixes if not prefix.endswith("/"))
        for prefix in prefixes:
            if any(other != prefix and other.startswith(prefix) for other in prefixes):
                yield f"{address}: {prefix} has others within it"
    if 'endswith(t.prefix, "/")' not in code.texts["aws/bucket/variables.tf"]:
        yield "bucket: takes prefixes that end within a word"


def another_list_of_missions(code: Code) -> Iterator[str]:
    """Missions that stand anywhere but in missions/, or things of a mission that are not made for all."""
    names = [path.parent.name for path in (CHECKOUT / "missions").glob("[!_]*/mission.yaml")]
    for path, text in code.texts.items():
        yield from (f"{path}: names {name}" for name in names if re.search(rf"\b{name}\b", text, re.IGNORECASE))
    modules = dict(code.blocks("module"))
    for name, source in (("incoming", "${local.missions}"), ("instrument", "${local.instruments}")):
        if modules[f"aws/buckets.tf:{name}"].get("for_each") != source:
            yield f"{name}: is not made for each of {source}"
    for type_ in ("aws_sqs_queue", "aws_sqs_queue_policy", "aws_s3_bucket_notification"):
        of_missions = dict(code.blocks("resource", type_))[f"aws/queues.tf:{type_}.incoming"]
        if of_missions.get("for_each") != "${local.missions}":
            yield f"{type_}.incoming: is not made for each mission"


FAULTS: dict[str, Callable[[Code], Iterator[str]]] = {
    fault.__name__: fault
    for fault in (
        public_database, public_addresses, open_to_the_internet, public_buckets, unencrypted, no_dead_letters,
        no_alarms, no_subscription, no_log_retention, no_replication, no_lifecycle, can_be_deleted,
        changed_without_a_trace, deleted_by_a_role, too_many_rights, rights_out_of_sight, anybody_may_send,
        secrets_in_the_open, own_account, two_defaults, not_pinned, prefixes_overlap, another_list_of_missions,
    )
}  # fmt: skip


def missions_root() -> Path:
    """The folder of the Terraform module that reads the definitions."""
    return ROOT / "aws" / "missions"
