"""A link that is cut for a while."""

from __future__ import annotations

from devices.errors import LinkError


class Cut:
    """Makes a backend's link fail between two times after the first start."""

    def __init__(self, backend, clock, begin_s, end_s, error=None):
        self.backend, self.clock, self.span_s = backend, clock, (begin_s, end_s)
        self.error = error or LinkError("pstat", "no reply", remedy="look at the cable")
        self.real = {name: getattr(backend, name) for name in ("load", "start", "poll", "stop")}
        self.began_s = clock.time()
        for name in self.real:
            setattr(backend, name, lambda *args, name=name: self.call(name, *args))

    def call(self, name, *args):
        if self.span_s[0] <= self.clock.time() - self.began_s < self.span_s[1]:
            raise self.error
        return self.real[name](*args)
