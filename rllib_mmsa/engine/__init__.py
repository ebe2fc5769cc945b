"""How an update is computed. The maths is rllib_mmsa/method; nothing here adds to it.

``choose`` is the one door, called once when a learner or an env runner is built:

- ``plain``: PyTorch, by RLlib's hooks. Any device, any setting, any subclass.
- ``native``: the whole update in one call of compiled C, on a CPU (``engine/native``).
- ``compile``: torch.compile of the plain update, for GPUs (``engine/compile.py``).

All but ``plain.py`` may be deleted, and everything still works.
"""

from rllib_mmsa.engine.choose import Engine, choose
from rllib_mmsa.engine.learned import Learned

__all__ = ["Engine", "Learned", "choose"]
