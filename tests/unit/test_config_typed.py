"""What an editor and a type checker know of the configurations."""

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

import env_registry
import rllib_mmsa
from rllib_mmsa import MMSAConfig, QMIXConfig
from rllib_mmsa.method.settings import MMSASettings, Settings, names
from rllib_mmsa.rllib.strict import RLLIB_OPTIONS
from rllib_mmsa.rllib.training_options import MMSATrainingOptions, TrainingOptions


def test_what_training_takes_is_typed_as_the_settings_are():
    for options, settings in ((TrainingOptions, Settings), (MMSATrainingOptions, MMSASettings)):
        typed, fields = get_type_hints(options), get_type_hints(settings)
        assert {name: typed.get(name) for name in names(settings)} == {
            name: fields[name] for name in names(settings)
        }


@pytest.mark.parametrize(
    ("config", "options"), [(QMIXConfig, TrainingOptions), (MMSAConfig, MMSATrainingOptions)]
)
def test_every_option_of_training_is_typed_and_shown(config, options):
    own = {name for name in vars(config()) if not name.startswith("_")} - RLLIB_OPTIONS
    elsewhere = {*config.own_setters, "max_failures_in_a_row"}
    rllibs = {"lr", "grad_clip", "grad_clip_by", "gamma", "train_batch_size", "learner_class"}
    typed = set(get_type_hints(options)) - {"learner_config_dict"}
    assert typed == (own - elsewhere) | rllibs
    signature = inspect.signature(config.training)
    assert set(signature.parameters) - {"self"} == set(get_type_hints(options))
    assert signature.parameters["hidden_dim"].default == config().hidden_dim
    assert signature.parameters["mixer"].annotation == str | None


def test_both_packages_say_that_they_are_typed():
    for package in (rllib_mmsa, env_registry):
        assert (Path(package.__file__).parent / "py.typed").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_type_checker_knows_the_options_of_training(tmp_path):
    api = pytest.importorskip("mypy.api")
    (tmp_path / "users.py").write_text(
        "from rllib_mmsa import MMSAConfig, QMIXConfig\n"
        "MMSAConfig().training(rollout_horizon=5, lr=1e-3, preset='paper')\n"
        "MMSAConfig().training(rollout_horizn=5)\n"
        "QMIXConfig().training(hidden_dim='large')\n"
    )
    root = Path(rllib_mmsa.__file__).parents[1]
    found, _, _ = api.run(
        ["--config-file", "", "--ignore-missing-imports", "--follow-imports", "silent"]
        + ["--cache-dir", str(root / ".mypy_cache"), str(tmp_path / "users.py")]
    )
    errors = [line for line in found.splitlines() if "error:" in line]
    assert len(errors) == 2, found
    assert 'users.py:3: error: Unexpected keyword argument "rollout_horizn"' in errors[0]
    assert "users.py:4: error: Argument" in errors[1]
