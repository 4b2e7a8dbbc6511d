"""One exception for each way in which a server refuses a request, and for a server that is not there."""

from __future__ import annotations

from typing import Any

import gymnasium


class WorldstepError(gymnasium.error.Error):
    """Anything that went wrong in Worldstep; the message says what to do about it."""


class UnknownTask(WorldstepError):
    """No task has this id."""


class InvalidAction(WorldstepError, gymnasium.error.InvalidAction):
    """An action of the wrong shape or type, or outside the action space; nothing was stepped."""


class ResetNeeded(WorldstepError, gymnasium.error.ResetNeeded):
    """`step` where `reset` has to come first."""


class InvalidState(WorldstepError):
    """Bytes that are no saved state of this environment."""


class SessionLost(WorldstepError):
    """The server has ended, was restarted, or has given the session up; its episodes are gone."""


class ServerBusy(WorldstepError):
    """The server did not get round to it in time."""


class ServerNotFound(WorldstepError):
    """No server answers, or none could be started."""


class ProtocolError(WorldstepError):
    """Client and server do not understand each other."""


class VersionMismatch(ProtocolError):
    """Client and server speak different versions of the protocol: update the older one."""


class LimitExceeded(WorldstepError):
    """One of the server's limits; the message names it."""


class Unsupported(WorldstepError):
    """Something that this server cannot do."""


class EngineError(WorldstepError):
    """The renderer or the model failed."""


class HostMemoryWarning(UserWarning):
    """Observations were to stay on a card, and do not; the message says why, and what would make it work."""


_BY_CODE: dict[str, type[WorldstepError]] = {
    "unknown_task": UnknownTask,
    "bad_action": InvalidAction,
    "bad_message": ProtocolError,
    "bad_version": VersionMismatch,
    "session_lost": SessionLost,
    "busy": ServerBusy,
    "needs_reset": ResetNeeded,
    "bad_state": InvalidState,
    "engine": EngineError,
    "limit": LimitExceeded,
    "unsupported": Unsupported,
}


def error_from_refusal(refusal: dict[str, Any]) -> WorldstepError:
    """Turn a server's refusal into its exception."""
    return _BY_CODE.get(refusal["code"], WorldstepError)(refusal["message"])
