# SPDX-License-Identifier: Apache-2.0
"""The command as it is run: in a process of its own, which does without what it does not need."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from lake.store import Lake
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET
from tests.servers import CHECKOUT

PROGRAM = "import sys; from swxlake.cli import main; sys.argv = ['swxlake', *sys.argv[1:]]; main()"
SECONDS = 60


def test_public_products_are_served_by_any_name_until_it_is_told_to_end(
    toy: Lake, client: Client, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, "hapi", "serve", "--port", "0", "--root", str(toy.root), "--public"]
    own = {"SWXLAKE_HEALTH": str(tmp_path), "SWXLAKE_MISSIONS": str(toy.definitions.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True, env=os.environ | own) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        query = f"data?dataset={DATASET}&start=2024-09-16&stop=2024-09-18"
        with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=SECONDS)) as connection:
            connection.request("GET", f"/hapi/{query}", headers={"Host": "data.example.org"})
            answer = connection.getresponse()
            assert answer.read() == client.data(DATASET).body
            assert answer.headers["access-control-allow-origin"] == "*"
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=SECONDS)
        assert server.returncode == 0, said
    assert json.loads((tmp_path / "hapi.json").read_text())["service"] == "hapi"
