"""Commands of an MRI console; a plug-in for a vendor's software fills in what happens."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from devices.bridge.protocol import Command, CommandTable


class ConsolePlugin(ABC):
    """An MRI console behind the bridge.

    A method that cannot do as asked raises `devices.bridge.protocol.Refusal`. Every method is
    short: what takes time goes on in the vendor's software and shows in `status`.
    """

    identity: str
    """Reply to ``*IDN?``: manufacturer, model, serial, firmware."""

    @abstractmethod
    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change some settings, all or none."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """All settings as the vendor's software holds them."""

    @abstractmethod
    def duration_s(self) -> float:
        """How long an acquisition with these settings takes, s."""

    @abstractmethod
    def arm(self) -> None:
        """Prepare an acquisition that begins at the next trigger, or now without one."""

    @abstractmethod
    def abort(self) -> None:
        """End the acquisition, acknowledge an error; idempotent."""

    @abstractmethod
    def status(self) -> Mapping[str, Any]:
        """The object that ``ACQuire:STATus?`` answers."""

    @abstractmethod
    def header(self) -> Mapping[str, Any]:
        """Header of the last image, without ``nbytes`` and ``crc32``."""

    @abstractmethod
    def pixels(self) -> bytes:
        """The last image as its header says, row by row."""

    @abstractmethod
    def active(self) -> bool:
        """Whether an acquisition is armed or goes on."""

    @abstractmethod
    def make_safe(self, reason: str) -> None:
        """End the acquisition and report `reason` as the console's error."""

    def commands(self) -> CommandTable:
        """The console's headers."""
        return {
            "ACQuire:CONFigure": Command(self.configure, takes=dict),
            "ACQuire:CONFigure?": Command(lambda: dict(self.settings())),
            "ACQuire:DURation?": Command(self.duration_s),
            "ACQuire:ARM": Command(self.arm),
            "ACQuire:ABORt": Command(self.abort),
            "ACQuire:STATus?": Command(lambda: dict(self.status())),
            "ACQuire:IMAGe:HEADer?": Command(self._whole_header),
            "ACQuire:IMAGe?": Command(self.pixels),
        }

    def _whole_header(self) -> dict[str, Any]:
        pixels = self.pixels()
        return {**self.header(), "nbytes": len(pixels), "crc32": zlib.crc32(pixels)}
