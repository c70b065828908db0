"""Something that is expensive to make, made when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Late:
    """Stands for something that is expensive to make until it is first used.

    Args:
        make: Makes it.
        name: What it is called at the prompt.
    """

    def __init__(self, make: Callable[[], Any], name: str) -> None:
        self._late_make, self._late_name = make, name
        self._late_made: Any = None

    def _late(self) -> Any:
        if self._late_made is None:
            self._late_made = self._late_make()
        return self._late_made

    def __getattr__(self, name: str) -> Any:
        """Whatever the real object has."""
        if name.startswith(("_late", "_ipython", "_repr")):
            raise AttributeError(name)
        return getattr(self._late(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._late()[key]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the real object, for databroker's ``db(sample=...)``."""
        return self._late()(*args, **kwargs)

    def __len__(self) -> int:
        return len(self._late())

    def __iter__(self) -> Any:
        return iter(self._late())

    def __dir__(self) -> list[str]:
        return dir(self._late_made) if self._late_made is not None else []

    def __repr__(self) -> str:
        if self._late_made is None:
            return f"<{self._late_name}: starts the store at first use>"
        return repr(self._late_made)
