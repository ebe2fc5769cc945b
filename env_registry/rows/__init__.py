"""What is known of every environment without importing it: one row each, by families.

Importing this package imports no environment and no package that an environment needs; a row names
both. A new environment is one adapter file and one row.
"""

from env_registry.rows.gymnasium import GYMNASIUM
from env_registry.rows.jaxmarl import JAXMARL
from env_registry.rows.lbf import LBF
from env_registry.rows.mamujoco import MAMUJOCO
from env_registry.rows.pettingzoo import PETTINGZOO
from env_registry.rows.row import EnvRow, Option
from env_registry.rows.smax import SMAX, SMAX_TASKS
from env_registry.rows.starcraft2 import SMAC, SMACV2
from env_registry.rows.toy import CLIMBING, COUNTER, TWO_STEP

__all__ = ["ENVIRONMENTS", "SMAX_TASKS", "EnvRow", "Option"]

ENVIRONMENTS: dict[str, EnvRow] = {
    row.name: row
    for row in (
        *(LBF, MAMUJOCO, PETTINGZOO, GYMNASIUM),
        *(SMACV2, SMAC, SMAX, JAXMARL),
        *(COUNTER, TWO_STEP, CLIMBING),
    )
}
