# SPDX-License-Identifier: Apache-2.0
"""What may stand in forward.toml, and what is said of what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.forward.settings import ForwardSettings, check_forward_settings, read_forward_settings, wanted
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.packet_log import Wanted
from tests.toy import write_missions

EXAMPLE = CHECKOUT / "docs" / "forward.example.toml"
LAKE = "lake = 'lake'\n"
A = "[clients.a]\n"
HOOK = "webhook = {url = 'https://example.org/in', secret_env = 'S'}\n"


def read(folder: Path, text: str) -> ForwardSettings:
    (folder / "forward.toml").write_text(LAKE + text)
    return read_forward_settings(folder / "forward.toml")


def complaint(folder: Path, text: str) -> str:
    definitions = read_definitions(write_missions(folder / "missions"))
    with pytest.raises(ConfigurationError) as caught:
        check_forward_settings(read(folder, text), definitions, folder / "forward.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(folder / "forward.toml"))


def test_the_example_in_the_documentation_can_be_read_and_fits_the_definitions() -> None:
    found = read_forward_settings(EXAMPLE)
    check_forward_settings(found, read_definitions(CHECKOUT / "missions"), EXAMPLE)
    kinds = {name: client.kind for name, client in found.clients.items()}
    assert kinds == {"photons": "webhook", "archive": "s3", "lab": "sftp", "disk": "folder", "viewer": "tcp"}


def test_the_example_has_every_key_be_it_in_a_comment() -> None:
    text = EXAMPLE.read_text()
    found = read_forward_settings(EXAMPLE)
    parts = (ForwardSettings, type(found.serve), type(found.retries), *map(type, found.clients.values()))
    keys = {key for part in parts for key in part.model_fields}
    keys |= set(type(found.clients["photons"].webhook).model_fields)
    assert {key for key in keys if key not in text} == set()


def test_paths_count_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    text = "[serve]\nport = 1\n[clients.a]\nfolder = {path = 'out'}\n[clients.b]\nsubscriber = true\ntoken_file = 't'\n"
    found = read(tmp_path, text)
    assert found.lake == str(tmp_path / "lake")
    assert found.clients["a"].way.place == str(tmp_path / "out")  # type: ignore[union-attr]
    assert found.clients["b"].token_file == tmp_path / "t"


def test_what_a_client_leaves_out_means_all(tmp_path: Path) -> None:
    found = read(tmp_path, A + HOOK + "[clients.b]\napids = [7]\nmissions = ['toy']\n" + HOOK)
    assert wanted(found.clients["a"]) == Wanted()
    assert wanted(found.clients["b"]) == Wanted(missions=frozenset({"toy"}), apids=frozenset({7}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (A, " (clients.a): has no way; give one of webhook, folder, s3, sftp, subscriber = true."),
        (A + HOOK + "folder = {path = 'x'}\n", " (clients.a): has webhook and folder; give one of"),
        (A + "subscriber = true\n", "is a subscriber, who is known by a token"),
        (A + HOOK + "token_env = 'T'\n", "has a token, which only a subscriber uses, not webhook"),
        (A + HOOK + "apids = []\n", " (clients.a.apids): is empty"),
        (A + HOOK + "apids = [9999]\n", " (clients.a.apids.0): input should be less than or equal to 2047"),
        (A + HOOK + "apids = [8]\n", " (clients.a.apids): no packet that fits has APID 8; known are 7."),
        (A + HOOK + "missions = ['tow']\n", "no mission that fits is 'tow'; did you mean toy?"),
        (A + HOOK + "instruments = ['bocks']\n", " (clients.a.instruments): no instrument that fits is 'bocks'"),
        (A + HOOK + "strat = 'now'\n", " (clients.a.strat): is no setting; did you mean start?"),
        (A + "webhook = {url = 'https://example.org'}\n", "needs one of secret_env, secret_file"),
        (A + "webhook = {url = 'https://example.org', secret = 'whsec_hush'}\n", "gives a literal secret"),
        (A + "webhook = {url = 'http://example.org', secret_env = 'S'}\n", "is not encrypted; write https"),
        (A + "webhook = {url = 'https://u:p@example.org', secret_env = 'S'}\n", "holds more than host and path"),
        ("[clients.'../a']\n" + HOOK, "is no name of a client"),
        ("[serve]\nhost = '0.0.0.0'\n", " (serve): listens on 0.0.0.0 without TLS"),
    ],
)
def test_mistakes_are_told_with_key_and_remedy_and_no_secret(tmp_path: Path, text: str, words: str) -> None:
    said = complaint(tmp_path, text)
    assert words in said
    assert "hush" not in said
