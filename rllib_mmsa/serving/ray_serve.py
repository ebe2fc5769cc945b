"""A served team behind Ray Serve: ``serve run rllib_mmsa.serving:app team=my_team``.

No postponed annotations here: Serve reads that of ``app``.
"""

from pathlib import Path
from typing import Any

from rllib_mmsa.errors import ConfigError

try:
    import onnxruntime  # noqa: F401
    from pydantic import BaseModel, ConfigDict, PositiveInt
    from ray import serve
    from ray.serve import Application
    from starlette.requests import Request
    from starlette.responses import Response
except ImportError as error:
    raise ConfigError(
        f"a team is served with Ray Serve and ONNX Runtime ({error}); "
        "pip install 'rllib-mmsa[serve]'."
    ) from None

from rllib_mmsa.serving.server import FILE, Asked, Refused, ServedTeam, answer

#: Requests that one call of the network answers at most.
MAX_BATCH = 64
#: Requests that a replica holds at a time; a client waits for more.
MAX_ONGOING = 1024


class Settings(BaseModel):
    """What ``serve run`` takes.

    Attributes:
        team: A folder of ``rllib export``.
        replicas: Processes that answer; one that dies is started again.
    """

    model_config = ConfigDict(extra="forbid")
    team: str
    replicas: PositiveInt = 2


@serve.deployment(
    name="team",
    max_ongoing_requests=MAX_ONGOING,
    ray_actor_options={"num_cpus": 1},
    logging_config={"enable_access_log": False, "log_level": "WARNING"},  # costs a tenth
)
class TeamDeployment:
    """One process that answers; it keeps nothing between two requests.

    Args:
        model: What team.onnx holds. It travels with the application, so that a replica starts on
            any machine, and after the folder has gone.
    """

    def __init__(self, model: bytes):
        self.team = ServedTeam(model)

    async def __call__(self, request: Request) -> Response:
        """HTTP, see ``server.answer``."""
        status, said = await answer(self.team, request.method, await request.body(), self._together)
        return Response(said, status, media_type="application/json")

    async def act(self, said: dict[str, Any]) -> dict[str, Any]:
        """The same for a ``DeploymentHandle``: what ``ServedTeam.read`` takes, as lists or arrays.

        Raises:
            Refused: If it does not fit the team.
        """
        return await self._together(self.team.read(said))

    # No waiting for more: those that came while the network was busy are many enough.
    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.0)
    async def _together(self, asked: list[Asked]) -> list[dict[str, Any]]:
        return self.team.act(asked)


def app(settings: Settings) -> Application:
    """The application that ``serve run`` starts.

    Raises:
        ConfigError: If there is no team to serve.
    """
    path = Path(settings.team).expanduser() / FILE
    try:
        model = path.read_bytes()
        ServedTeam(model)
    except OSError as error:
        raise ConfigError(
            f"team: '{path}' cannot be read ({error.strerror}); name a folder that "
            "`rllib export CHECKPOINT --out FOLDER` wrote."
        ) from None
    except Refused as refused:
        raise ConfigError(f"team: '{path}': {refused}.") from None
    deployment: Any = TeamDeployment  # mypy reads no class decorators
    return deployment.options(num_replicas=settings.replicas).bind(model)
