"""Databroker's view of the catalogue, in which runs that went on with one another are one.

    db[-1].table("echem")          # the whole experiment, cut off and resumed or not
    db[-1].alone.table("echem")    # this run only
    db[-1].parts                   # headers of its runs

Everything else is databroker's own; the documents of a header are those of its run, as recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from databroker import Broker, Header


class ExperimentHeader(Header):
    """A run whose tables and data are those of the whole experiment.

    Args:
        run: Tiled's client of the run.
        db: The broker that found it.

    Attributes:
        alone: The same run as databroker has it.
    """

    def __init__(self, run: Any, db: Any) -> None:
        super().__init__(run, db)
        self.alone = Header(run, db)

    @property
    def parts(self) -> list[Any]:
        """Headers of the runs of the experiment in their order; of this one alone if it is one."""
        if self.start.get("resumes"):
            root = str(self.start.get("resumes_first") or self.start["resumes"])
        else:
            root = self.uid
        later = self.db.of_experiment(root)
        first = [self.alone] if root == self.uid else [self.db[root].alone]
        return [*first, *later] if later else [self.alone]

    def table(self, stream_name: str = "primary", *args: Any, **kwargs: Any) -> Any:
        """Events of one stream as `databroker.Header.table`, of all parts, numbered through."""
        import pandas as pd  # loaded with the first table, not with the shell

        tables = [
            part.table(stream_name, *args, **kwargs)
            for part in self.parts
            if stream_name in part.stream_names
        ]
        if len(tables) < 2:
            return tables[0] if tables else self.alone.table(stream_name, *args, **kwargs)
        whole = pd.concat(tables, ignore_index=True)
        whole.index = pd.RangeIndex(1, len(whole) + 1, name=tables[0].index.name)
        return whole

    def data(self, field: str, stream_name: str = "primary", *args: Any, **kwargs: Any) -> Any:
        """Values of one field as `databroker.Header.data`, of all parts."""
        return chain.from_iterable(
            part.data(field, stream_name, *args, **kwargs)
            for part in self.parts
            if stream_name in part.stream_names
        )


class ExperimentBroker(Broker):
    """`databroker.Broker` that gives `ExperimentHeader`."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        several = isinstance(found, list)
        return [self._wrapped(one) for one in found] if several else self._wrapped(found)

    def __call__(self, text_search: str | None = None, **kwargs: Any) -> Iterable[Any]:
        """Runs that match, as `databroker.Broker`."""
        return _Found(super().__call__(text_search, **kwargs), self)

    def of_experiment(self, first: str) -> list[Any]:
        """Headers of the runs that go on with a run, in their order.

        Args:
            first: Uid of the first run.
        """
        found = [header.alone for header in self(resumes_first=first)]
        return sorted(found, key=lambda header: float(header.start["time"]))

    def _wrapped(self, header: Any) -> ExperimentHeader:
        return ExperimentHeader(header.v2, self)


class _Found:
    """What a search found; may be gone through several times, as databroker's own."""

    def __init__(self, results: Any, broker: ExperimentBroker) -> None:
        self._results, self._broker = results, broker

    def __iter__(self) -> Iterator[ExperimentHeader]:
        return (ExperimentHeader(header.v2, self._broker) for header in self._results)
