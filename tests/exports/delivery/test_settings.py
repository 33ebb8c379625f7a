# SPDX-License-Identifier: Apache-2.0
"""What may stand in delivery.toml, and what is said of what may not."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from exports.delivery.settings import DeliverySettings, check_delivery_settings, read_delivery_settings
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.setting_files import is_of
from lake.ways.settings import FolderWay, HttpsWay, S3Way, SftpWay, Way
from tests.exports.delivery.stage import write_definitions

EXAMPLE = CHECKOUT / "docs" / "delivery.example.toml"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIDFux090r5Ge8tQb5CXRcGDrRyytj1BCfvUMwShbbhY1"
LAKE = "lake = 'lake'\n"
A = "[recipients.a]\nfolder = {path = 'x'}\n"
SEND = "[[recipients.a.send]]\n"


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return read_definitions(write_definitions(tmp_path_factory.mktemp("definitions")))


def read(folder: Path, text: str) -> DeliverySettings:
    (folder / "delivery.toml").write_text(LAKE + text)
    return read_delivery_settings(folder / "delivery.toml")


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(folder / "delivery.toml"))


def test_the_example_in_the_documentation_can_be_read() -> None:
    found = read_delivery_settings(EXAMPLE)
    check_delivery_settings(found, read_definitions(CHECKOUT / "missions"), EXAMPLE)
    ways = {name: type(recipient.way).__name__ for name, recipient in found.recipients.items()}
    assert ways == {"spdf": "SftpWay", "sdac": "FolderWay", "mirror": "S3Way", "team": "HttpsWay"}
    assert found.embargo[0].until == date(2027, 1, 1)


def test_every_key_is_in_the_example() -> None:
    found = read_delivery_settings(EXAMPLE)
    assert set(DeliverySettings.model_fields) == found.model_fields_set
    recipients = found.recipients.values()
    assert set().union(*(r.model_fields_set for r in recipients)) == set(type(found.recipients["spdf"]).model_fields)
    rules = [rule for recipient in recipients for rule in recipient.send]
    assert set().union(*(rule.model_fields_set for rule in rules)) == set(type(rules[0]).model_fields)


@pytest.mark.parametrize("way", [FolderWay, S3Way, SftpWay, HttpsWay])
def test_every_key_of_every_way_is_in_the_example(way: type[Way]) -> None:
    text = EXAMPLE.read_text()
    assert [key for key in way.model_fields if not re.search(rf"^(# |.*\{{ )?{key} = ", text, re.MULTILINE)] == []


def test_the_example_can_be_read_with_each_of_the_other_keys(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("ssh-ed25519 AAAA...", f"ssh-ed25519 {KEY}")
    path = tmp_path / "delivery.toml"
    instead = {
        "host_key": "known_hosts", "password_file": "key_file", "password_env": "key_file", "token_file": "token_env",
        "passphrase_file": "", "passphrase_env": "", "port": "", "endpoint": "", "ca_file": "", "seconds": "",
    }  # fmt: skip
    for key, other in instead.items():
        out = re.sub(rf"^{other} = .*$", "", text, flags=re.MULTILINE) if other else text
        path.write_text(re.sub(rf"^# ({key} = )", r"\1", out, flags=re.MULTILINE))
        recipients = read_delivery_settings(path).recipients.values()
        assert any(key in recipient.way.model_fields_set for recipient in recipients), key


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    way = read(tmp_path, A + SEND).recipients["a"].folder
    assert way is not None
    assert way.path == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", " (lake): field required."),
        ("lake = ''", " (lake): string should have at least 1 character."),
        ("lake = 's3://Bucket'", " (lake): is neither a folder nor s3://bucket/prefix"),
        ("lake = 'https://user:hunter2@host/'", " (lake): is neither a folder nor s3://bucket/prefix"),
    ],
)
def test_settings_name_their_lake(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "delivery.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_delivery_settings(path)
    assert str(caught.value).startswith(f"{path}{words}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "root", "same"),
    [
        ("lakehouse", "{}/lakehouse", True),
        ("./other/../lakehouse/", "{}/lakehouse", True),
        ("linked", "{}/lakehouse", True),
        ("lakehouse", "{}/demo/lakehouse", False),
        ("s3://bucket/swx/", "s3://bucket/swx", True),
        ("s3://bucket/swx", "s3://bucket/swx2", False),
        ("s3://bucket/swx", "{}/lakehouse", False),
    ],
)
def test_settings_are_of_one_lake_alone(tmp_path: Path, written: str, root: str, same: bool) -> None:
    (tmp_path / "lakehouse").mkdir()
    (tmp_path / "linked").symlink_to("lakehouse")
    (tmp_path / "delivery.toml").write_text(f'lake = "{written}"')
    place = root.format(tmp_path)
    found = read_delivery_settings(tmp_path / "delivery.toml")
    assert is_of(found, place if place.startswith("s3:") else Path(place)) is same


@pytest.mark.parametrize("key", ["missions", "instruments", "levels", "products"])
def test_an_empty_list_is_not_taken_for_everything(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f"{A}[[recipients.a.send]]\n{key} = []\n")
    assert f"(recipients.a.send.0.{key}): is empty; name what is meant, or remove the key" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipient = 1", " (recipient): is no setting; did you mean recipients?"),
        ("[recipients.A]\nfolder={path='x'}", " (recipients.A): is no name of a recipient. Write small letters"),
        (A, " (recipients.a.send): field required."),
        ("[recipients.a]\n" + SEND, " (recipients.a): has no way; give one of folder, s3, sftp, https."),
        (A + "s3 = {address = 's3://bucket'}\n" + SEND, " (recipients.a): has folder and s3; give one of"),
        (A + "layot = 'lake'\n" + SEND, " (recipients.a.layot): is no setting; did you mean layout?"),
        (A + "layout = 'cdaweb'\n" + SEND, " (recipients.a.layout): input should be 'spdf', 'lake' or 'swxsoc'."),
        (A + "assumed = true\n" + SEND, " (recipients.a): is public and takes what is assumed;"),
        (A + SEND + "level = ['l1']", " (recipients.a.send.0.level): is no setting; did you mean levels?"),
        (A + SEND + "min_version = 'v1'", " (recipients.a.send.0.min_version): is no version; write X, X.Y or X.Y.Z"),
        (A + SEND + "min_version = 1.0", " (recipients.a.send.0.min_version): input should be a valid string."),
        (A + SEND + "formats = ['png']", " (recipients.a.send.0.formats.0): input should be 'cdf' or 'fits'."),
        (A + SEND + "from = 2026-02-01\nto = 2026-01-01", " (recipients.a.send.0): has its `from` after its `to`"),
        ("[[embargo]]\nproducts = ['x']\nwhy = 'y'", " (embargo.0): needs either `until` or `days`"),
        ("[[embargo]]\nproducts = ['x']\nwhy = 'y'\ndays = 0", " (embargo.0.days): input should be greater than 0."),
        ("[[embargo]]\nproducts = ['x']\ndays = 9", " (embargo.0.why): field required."),
        ("[[approval]]\nproducts = []", " (approval.0.products): tuple should have at least 1 item"),
        (
            "[recipients.a]\npull = true\nhttps = {url = 'https://h/x'}\n" + SEND,
            " (recipients.a): is a tree to pull from behind https;",
        ),
    ],
)
def test_a_mistake_is_told_with_key_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    assert complaint(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (A + SEND + "missions = ['toi']", " (recipients.a.send.0.missions): no product is of 'toi'; did you mean toy?"),
        (
            A + SEND + "instruments = ['bx']",
            " (recipients.a.send.0.instruments): no product is of 'bx'; did you mean box?",
        ),
        (A + SEND + "levels = ['l2']", " (recipients.a.send.0.levels): no product is of 'l2'; known are l1."),
        (
            A + SEND + "products = ['toy.box_l1_tik']",
            " (recipients.a.send.0.products): no product fits 'toy.box_l1_tik'; did you mean toy.box_l1_tick?",
        ),
        (
            A + SEND + "instruments = ['box']\nproducts = ['toy.crate_*']",
            " (recipients.a.send.0): its conditions together fit no product.",
        ),
        (
            A + SEND + "formats = ['fits']",
            " (recipients.a.send.0.formats): none of its products is published as 'fits'; known are cdf.",
        ),
        ("[[approval]]\nproducts = ['padre.*']", " (approval.0.products): no product fits 'padre.*'"),
        (
            "[[embargo]]\nproducts = ['padre.*']\ndays = 3\nwhy = 'x'",
            " (embargo.0.products): no product fits 'padre.*'",
        ),
    ],
)
def test_a_rule_that_fits_no_product_is_a_mistake(
    tmp_path: Path, definitions: Definitions, text: str, words: str
) -> None:
    found = read(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        check_delivery_settings(found, definitions, tmp_path / "delivery.toml")
    assert str(caught.value).removeprefix(str(tmp_path / "delivery.toml")).startswith(words)


@pytest.mark.parametrize("pattern", ["toy.*", "toy_*", "toy.box_l1_tick", "toy_box_l1-tick", "toy.box_?1_tick"])
def test_products_are_named_by_address_or_dataset(tmp_path: Path, definitions: Definitions, pattern: str) -> None:
    check_delivery_settings(read(tmp_path, f"{A}{SEND}products = ['{pattern}']"), definitions)
