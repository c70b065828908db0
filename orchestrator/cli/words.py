"""What is said from another terminal about a paused run, for whoever waits for an answer here."""

from __future__ import annotations

import queue
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from orchestrator.bench import Bench
from orchestrator.desk import Word


class Words:
    """Words for a paused run; they may come from any thread, and wake who waits.

    Use `heard`.
    """

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._said: queue.SimpleQueue[Word] = queue.SimpleQueue()

    def say(self, word: Word) -> bool:
        """Say what to do; it is taken by whoever waits, or is about to."""
        self._said.put(word)
        self._there.send(b"\n")
        return True

    def wait(self, *, typed: IO[str] | None = None) -> Word | str:
        """Wait for a word, or for a line that is typed.

        Args:
            typed: Where a person may type; None where nobody can.

        Returns:
            The word, or the line with its end; empty at the end of the input.
        """
        sources: list[IO[str] | socket.socket] = [self._here, *([typed] if typed else [])]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if self._here in ready:
                self._here.recv(1)
                return self._said.get_nowait()
            if typed is not None:
                return typed.readline()

    def forget(self) -> None:
        """The run has got its answer: what else was said meant the same pause."""
        while select.select([self._here], [], [], 0.0)[0]:
            self._here.recv(1)
            self._said.get_nowait()

    def close(self) -> None:
        """Nobody waits any more."""
        self._here.close()
        self._there.close()


@contextmanager
def heard(bench: Bench) -> Iterator[Words]:
    """Hear what is said about this bench's runs while they are paused."""
    words = Words()
    bench.desk.decide = words.say
    try:
        yield words
    finally:
        bench.desk.decide = None
        words.close()
