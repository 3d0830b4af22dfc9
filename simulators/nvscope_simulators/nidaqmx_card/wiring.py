"""Levels on the card's terminals and pins, the routes between them, and who listens for edges."""

from __future__ import annotations

from collections.abc import Callable

Edge = Callable[[int], None]
"""Called with how many edges happened at once (more than one only beyond a receiver's bandwidth)."""


class Wiring:
    """A set of nodes with logic levels; an undriven node is low, as the card's weak pull-downs make it."""

    def __init__(self) -> None:
        self._levels: dict[str, bool] = {}
        self._routes: dict[str, tuple[tuple[str, bool], ...]] = {}
        self._edges: dict[tuple[str, bool], tuple[Edge, ...]] = {}

    def level(self, node: str) -> bool:
        """Return the present level of a node."""
        return self._levels.get(node, False)

    def set(self, node: str, level: bool, edges: int = 1) -> None:
        """Drive a node; an edge reaches everything routed from it, at once.

        Parameters
        ----------
        node : str
        level : bool
        edges : int
            How many edges of this direction this change stands for.
        """
        if self._levels.get(node, False) == level:
            return
        self._levels[node] = level
        for listener in self._edges.get((node, level), ()):
            listener(edges)
        for destination, inverted in self._routes.get(node, ()):
            self.set(destination, level != inverted, edges)

    def pulse(self, node: str, edges: int = 1) -> None:
        """One short pulse."""
        self.set(node, True, edges)
        self.set(node, False, edges)

    def watch(self, node: str, rising: bool, listener: Edge) -> Callable[[], None]:
        """Call `listener` on every edge of one direction; returns what ends it."""
        key = (node, rising)
        self._edges[key] = (*self._edges.get(key, ()), listener)

        def unwatch() -> None:
            rest = list(self._edges.get(key, ()))
            if listener in rest:
                rest.remove(listener)
                self._edges[key] = tuple(rest)

        return unwatch

    def reaches(self, source: str, destination: str) -> bool:
        """Whether `source` drives `destination`, directly or through other nodes."""
        if source == destination:
            return True
        return any(self.reaches(node, destination) for node, _ in self._routes.get(source, ()))

    def driven(self, node: str) -> bool:
        """Whether any route ends at `node`."""
        return any(node == destination for routes in self._routes.values() for destination, _ in routes)

    def heard(self, node: str) -> bool:
        """Whether anybody listens to `node` or to what it drives."""
        if self._edges.get((node, True)) or self._edges.get((node, False)):
            return True
        return any(self.heard(destination) for destination, _ in self._routes.get(node, ()))

    def connect(self, source: str, destination: str, inverted: bool = False) -> None:
        """Route `source` to `destination`, which takes its level at once; the caller has refused loops."""
        self._routes[source] = (*self._routes.get(source, ()), (destination, inverted))
        self.set(destination, self.level(source) != inverted)

    def disconnect(self, source: str, destination: str) -> bool:
        """Take a route back, the destination falls low; returns whether there was one."""
        routes = self._routes.get(source, ())
        rest = tuple(route for route in routes if route[0] != destination)
        if len(rest) == len(routes):
            return False
        self._routes[source] = rest
        self.set(destination, False)
        return True
