"""Questions over a screen: keyboard only, Esc takes nothing for an answer, the safe one first."""
