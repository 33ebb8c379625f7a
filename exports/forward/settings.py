# SPDX-License-Identifier: Apache-2.0
"""Who gets packets, and how: the nouns of `forward.toml`, and reading it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, model_validator

from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.packet_log import Wanted
from lake.serving import Listen
from lake.setting_files import OfLake, Setting, near, placed_lake, read_setting_file
from lake.ways.settings import FolderWay, LocalPath, S3Way, SftpWay, Variable, Way, Web

PLACE = "the settings of forwarding"  # as long as nobody says which file they come from
FILE_WAYS = ("folder", "s3", "sftp")
PUSHED = ("webhook", *FILE_WAYS)
ANSWER_SECONDS = 10.0  # within which a webhook must have answered, facts/operations.md E2
DEFAULT_PORT = 7411  # of no service that is registered with IANA


class Limits(NamedTuple):
    """How much goes at once: whichever is reached first ends a batch. `bytes` are those of the packets."""

    packets: int
    bytes: int


MESSAGE_LIMITS = Limits(500, 1 << 20)  # a message of 1.4 MB in base64; most servers of webhooks take some megabytes
FILE_LIMITS = Limits(100_000, 64 << 20)  # a file that can be held in memory here and there


Event = Literal["packets", "products"]
Value = TypeVar("Value", str, int)


def _not_empty(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The same values; none at all would be taken for all by one reader and for nothing by another."""
    if not values:
        raise ValueError("is empty; name what is meant, or remove the key, which means all that there is")
    return values


class Webhook(Way):
    """A server that takes messages as Standard Webhooks describes them.

    events : what is told: "packets" as they arrive, "products" as they are published.
    secret_env, secret_file : the secret, `whsec_...`. old_secret_env, old_secret_file : the one before it, as long as
        the receiver may still have that: messages are signed with both.
    allow_private : it may be in a private network, or this machine.
    ca_file : certificates to trust instead of the usual ones. seconds : within which it must have answered.
    """

    url: Web
    events: Annotated[tuple[Event, ...], AfterValidator(_not_empty)] = ("packets",)
    secret_env: Variable | None = None
    secret_file: LocalPath | None = None
    old_secret_env: Variable | None = None
    old_secret_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    allow_private: bool = False
    seconds: float = Field(default=ANSWER_SECONDS, gt=0, le=60)

    @model_validator(mode="after")
    def _is_signed(self) -> Webhook:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("needs one of secret_env, secret_file: messages are signed; give one of them")
        if self.old_secret_env is not None and self.old_secret_file is not None:
            raise ValueError("has old_secret_env and old_secret_file; give one of them")
        return self

    @property
    def place(self) -> str:
        """The URL."""
        return self.url


PushWay = Webhook | FolderWay | S3Way | SftpWay


Names = Annotated[tuple[str, ...], AfterValidator(_not_empty)]
Apid = Annotated[int, Field(ge=0, le=2047, strict=True)]  # 11 bits, CCSDS 133.0-B-2, section 4.1.3.3.4


class Client(Setting):
    """Who gets packets: by exactly one of webhook, folder, s3, sftp, or as a subscriber, who connects to our server.

    token_env, token_file : by which a subscriber is known.
    missions, instruments, apids : which packets; what is left out means all.
    start : where a client begins that never was here: "now" with what arrives from then on, "beginning" with all.
    batch_packets, batch_bytes : how much goes in one message or file at most.
    """

    webhook: Webhook | None = None
    folder: FolderWay | None = None
    s3: S3Way | None = None
    sftp: SftpWay | None = None
    subscriber: bool = False
    token_env: Variable | None = None
    token_file: LocalPath | None = None
    missions: Names = ()
    instruments: Names = ()
    apids: Annotated[tuple[Apid, ...], AfterValidator(_not_empty)] = ()
    start: Literal["now", "beginning"] = "now"
    batch_packets: int | None = Field(default=None, gt=0, le=1_000_000)
    batch_bytes: int | None = Field(default=None, gt=0, le=1 << 30)

    @model_validator(mode="after")
    def _is_one_way(self) -> Client:
        given = [name for name in PUSHED if getattr(self, name) is not None] + ["subscriber"] * self.subscriber
        if len(given) != 1:
            ways = ", ".join((*PUSHED, "subscriber = true"))
            raise ValueError(f"has {' and '.join(given) or 'no way'}; give one of {ways}")
        tokens = (self.token_env is not None) + (self.token_file is not None)
        if self.subscriber and tokens != 1:
            raise ValueError("is a subscriber, who is known by a token; give one of token_env, token_file")
        if not self.subscriber and tokens:
            raise ValueError(f"has a token, which only a subscriber uses, not {given[0]}; remove it")
        if self.subscriber and (self.batch_packets or self.batch_bytes):
            raise ValueError("is a subscriber, who gets packets one by one; remove batch_packets and batch_bytes")
        return self

    @property
    def kind(self) -> str:
        """The way in a word, as in ops.forwards."""
        return "tcp" if self.subscriber else next(name for name in PUSHED if getattr(self, name) is not None)

    @property
    def way(self) -> PushWay | None:
        """Where packets are pushed to; None for a subscriber."""
        return self.webhook or self.folder or self.s3 or self.sftp

    @property
    def events(self) -> tuple[Event, ...]:
        """What it gets."""
        return self.webhook.events if self.webhook else ("packets",)

    @property
    def limits(self) -> Limits:
        """How much goes at once."""
        usual = MESSAGE_LIMITS if self.webhook else FILE_LIMITS
        return Limits(self.batch_packets or usual.packets, self.batch_bytes or usual.bytes)

    def placed(self, folder: Path) -> Client:
        """The same with relative paths taken from `folder`, that of the settings."""
        ways = {name: way.placed(folder) for name in PUSHED if (way := getattr(self, name)) is not None}
        token = {} if self.token_file is None else {"token_file": folder / self.token_file.expanduser()}
        return self.model_copy(update=ways | token)


class Serve(Listen):
    """Where subscribers connect, and what they may cost.

    max_clients : connections at once. max_of_one : those of one client among them.
    idle_seconds : without a word from a client that was asked for one, after which it is hung up on.
    keepalive_seconds : between signs of life where there are no packets.
    buffer_bytes : of packets that wait for one client; it reads no further from the log meanwhile.
    """

    port: int = Field(default=DEFAULT_PORT, ge=0, lt=65536)
    max_clients: int = Field(default=64, gt=0, le=1024)
    max_of_one: int = Field(default=4, gt=0, le=1024)
    idle_seconds: float = Field(default=300.0, gt=0, le=86400)
    keepalive_seconds: float = Field(default=15.0, gt=0, le=3600)
    buffer_bytes: int = Field(default=1 << 20, ge=1 << 17, le=1 << 28)


class Retries(Setting):
    """When something is tried again: after `first_seconds`, then twice as long each time, up to `most_seconds`.

    patience_seconds : how long one push waits for further tries of one client before it leaves them to the next push.
    give_up_seconds : what was not taken for so long is put aside as a dead letter, and what follows it is sent.
    """

    first_seconds: float = Field(default=1.0, gt=0, le=3600)
    most_seconds: float = Field(default=3600.0, gt=0, le=86400)
    patience_seconds: float = Field(default=10.0, ge=0, le=3600)
    give_up_seconds: float = Field(default=86400.0, gt=0, le=30 * 86400)


class ForwardSettings(OfLake):
    """All of `forward.toml`; without one nobody gets packets.

    lake : the one that the settings are of, a folder or s3://bucket/prefix. From no other one, such as a copy or a
        demonstration, is anything given on by them.
    """

    clients: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)], Client] = Field(
        default_factory=dict
    )
    serve: Serve = Field(default_factory=Serve)
    retries: Retries = Field(default_factory=Retries)


def read_forward_settings(path: Path) -> ForwardSettings:
    """The settings in a TOML file, paths in it taken from its folder.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    settings = read_setting_file(path, ForwardSettings, "SWXLAKE_FORWARD")
    clients = {name: client.placed(path.parent) for name, client in settings.clients.items()}
    lake = placed_lake(settings, path.parent)
    return settings.model_copy(update={"clients": clients, "lake": lake, "serve": settings.serve.placed(path.parent)})


def wanted(client: Client) -> Wanted:
    """The packets that a client asks for."""
    return Wanted(frozenset(client.missions), frozenset(client.instruments), frozenset(client.apids))


def fits_nothing(asked: Wanted, definitions: Definitions) -> bool:
    """Whether no packet that is defined could ever be among those that are asked for."""
    fitting = [
        instrument
        for mission in definitions.missions
        for instrument in mission.instruments
        if asked.fits_file(mission.name, instrument.name)
    ]
    apids = {apid for instrument in fitting for packet in instrument.packets for apid in packet.apids}
    return not fitting or bool(asked.apids and not asked.apids & apids)


def check_forward_settings(settings: ForwardSettings, definitions: Definitions, place: Path | str = PLACE) -> None:
    """Raises ConfigurationError for a client that asks for what is not defined; `place` is the file."""
    for name, client in settings.clients.items():
        _check_client(f"{place} (clients.{name}", client, definitions)


def _check_client(where: str, client: Client, definitions: Definitions) -> None:
    _check_known(f"{where}.missions)", "mission", client.missions, {one.name for one in definitions.missions})
    missions = [one for one in definitions.missions if not client.missions or one.name in client.missions]
    instruments = [instrument for mission in missions for instrument in mission.instruments]
    _check_known(f"{where}.instruments)", "instrument", client.instruments, {one.name for one in instruments})
    fitting = [one for one in instruments if not client.instruments or one.name in client.instruments]
    apids = {apid for one in fitting for packet in one.packets for apid in packet.apids}
    for apid in client.apids:
        if apid not in apids:
            known = ", ".join(map(str, sorted(apids))) or "none"
            raise ConfigurationError(f"{where}.apids): no packet that fits has APID {apid}; known are {known}.")


def _check_known(where: str, kind: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigurationError(f"{where}: no {kind} that fits is {name!r}{near(name, known)}")
