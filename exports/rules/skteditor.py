# SPDX-License-Identifier: Apache-2.0
"""SPDF's own checker (SKTEditor, a Java program that has to be fetched from SPDF), asked where it is configured.

How it is called is known from others who do; it could not be run while this was written. Its exit code is not relied
on alone: lines that speak of an error count as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from exports.rules.nouns import Finding, error
from lake.errors import ConfigurationError

MAIN = "gsfc.spdf.istp.tools.CDFCheck"
JARS = ("spdfjavaClasses.jar", "cdfjava.jar")
SECONDS = 300  # for one file; a Java program starts in seconds and reads a large file in a minute
ERROR = re.compile(
    r"\b(errors?|exceptions?|fatal|invalid|illegal|missing|incorrect|inconsistent|mismatch|fail(s|ed|ure)?)\b"
    r"|\b(is|are|was|were|does|do|could|can) ?not\b",
    re.IGNORECASE,
)
SUBJECT = r"(errors?|exceptions?|missing|invalid|failures?|failed)"
# What is said of something that is not there: none of them, a count of 0, and what is being looked for.
NO_ERROR = re.compile(
    rf"\b(no|0|zero|without( any)?)( \w+)? {SUBJECT}\b"
    rf"|\b(number of )?{SUBJECT}( \w+)*\s*[:=]\s*(0|none|no)\b(?!\.\d)"
    rf"|\b(check|look|search|test|scan)(s|ed|ing)? for( \w+)? {SUBJECT}\b",
    re.IGNORECASE,
)
REMEDY = "Correct the definition; SPDF would refuse the file"
SETTING = "SWXLAKE_SKTEDITOR"


def ask_skteditor(folder: Path, path: Path, java: str = "java", seconds: float = SECONDS) -> list[Finding]:
    """What SPDF's checker calls an error in a file, as findings SKT.

    Raises ConfigurationError if Java or a jar of `folder` is missing: who configures the checker relies on it.
    """
    command = [*command_of(folder, java), str(path)]
    try:
        done = subprocess.run(  # noqa: S603  a fixed command, of files that somebody configured
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return [_finding(f"SPDF's checker did not end within {seconds:g} s", "Run it by hand on this file")]
    except OSError as problem:
        raise ConfigurationError(f"{command[0]} cannot be run ({problem}). Correct it, or unset {SETTING}") from problem
    return _findings(done)


def command_of(folder: Path, java: str = "java") -> list[str]:
    """The command without the file. Raises ConfigurationError if Java or a jar of `folder` is missing."""
    return [_java(java), f"-Djava.library.path={folder}", "-cp", os.pathsep.join(_jars(folder)), MAIN]


def _findings(done: subprocess.CompletedProcess[str]) -> list[Finding]:
    lines = [" ".join(line.split()) for line in (done.stdout + "\n" + done.stderr).splitlines()]
    wrong = [line for line in lines if ERROR.search(NO_ERROR.sub("", line))]
    if not wrong and done.returncode:
        last = next((line for line in reversed(lines) if line), "without a word")
        wrong = [f"ended with code {done.returncode}: {last}"]
    return [_finding(f"SPDF's checker says: {line.rstrip('.')}", REMEDY) for line in dict.fromkeys(wrong)]


def _finding(what: str, remedy: str) -> Finding:
    return error("SKT", "", what, remedy)


def _java(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise ConfigurationError(f"{SETTING} is set, and there is no {program}. Install Java, or unset it")
    return found


def _jars(folder: Path) -> list[str]:
    missing = [name for name in JARS if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(f"{folder}: has no {', '.join(missing)}. Correct {SETTING}, or unset it")
    return sorted(str(path) for path in folder.glob("*.jar"))
