"""The command palette: every action that is possible now, by its words."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.types import IgnoreReturnCallbackType

from ecotui.actions.action import Action
from ecotui.actions.table import ACTIONS


class ActionProvider(Provider):
    """Finds actions by what they are called and by what they do."""

    async def discover(self) -> Hits:
        """Yield every action that is possible, before anything is typed."""
        for action, node in self._possible():
            words = _words(action)
            yield DiscoveryHit(Content(words), self._run(action, node), words, self._keys(action))

    async def search(self, query: str) -> Hits:
        """Yield the actions whose words are like those typed."""
        matcher = self.matcher(query)
        for action, node in self._possible():
            words = _words(action)
            score = matcher.match(words)
            if score > 0:
                run, keys = self._run(action, node), self._keys(action)
                yield Hit(score, matcher.highlight(words), run, words, keys)

    def _possible(self) -> list[tuple[Action, DOMNode]]:
        """Return what is possible, and where each action is done."""
        found = list[tuple[Action, DOMNode]]()
        panels = [] if self.focused is None else list(self.focused.ancestors_with_self)
        for action in ACTIONS:
            name = f"action_{action.does.partition('(')[0]}"
            if action.place == "everywhere":
                nodes: list[DOMNode] = [self.app]
            elif action.place == "panel":
                nodes = panels
            else:
                is_here = getattr(self.screen, "NAME", "") == action.place
                nodes = [self.screen] if is_here else []
            node = next((each for each in nodes if hasattr(each, name)), None)
            if node is not None and self._is_offered(action, node):
                found.append((action, node))
        return found

    def _is_offered(self, action: Action, node: DOMNode) -> bool:
        situation = getattr(self.app, "situation", None)
        return situation is None or action.is_possible(situation)

    def _run(self, action: Action, node: DOMNode) -> IgnoreReturnCallbackType:
        return partial(self.app.run_action, action.does, default_namespace=node)

    def _keys(self, action: Action) -> str:
        keys = getattr(self.app, "keys_of", None)
        return "" if keys is None else str(keys(action))


def _words(action: Action) -> str:
    return f"{action.word}: {action.help}"
