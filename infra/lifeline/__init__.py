"""Lifeline: child processes that end when this process ends, however it ends, by kill -9 too.

Between this process and each child stands a guardian (:mod:`infra.lifeline.guardian`). A child leads no life outside
its guardian's session, so Ctrl-C in a terminal reaches this process alone, which stops its children in order.
"""

from infra.lifeline.process import GuardedProcess, Identity, Launch

__all__ = ["GuardedProcess", "Identity", "Launch"]
