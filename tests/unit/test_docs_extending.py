"""The examples of docs/extending.md run as they are printed, and what they change acts."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from tests.algorithms import batch_of, learner, losses

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
#: The page names each file in the sentence before its block.
FILES = dict(re.findall(r"`(\w+)\.py`:\n\n```python\n(.*?)^```", TEXT, re.S | re.M))

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Imports one of the page's files from a folder outside the package."""
    for name, code in FILES.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name in FILES:
        sys.modules.pop(name, None)


def weights(module: torch.nn.Module) -> torch.Tensor:
    """All that a network has learned, as one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()


def trained(example: ModuleType, *args):
    """The example's algorithm after its training, and its team's networks."""
    algorithm = example.train(*args)
    assert learner(algorithm)._num_updates > 5
    assert learner(algorithm).engine.name == "plain"
    return algorithm, learner(algorithm).team_module


def test_every_python_block_is_a_file_of_the_page():
    assert len(FILES) == TEXT.count("```python") == 4


def test_a_new_mixer_mixes_and_learns(example):
    page = example("weighted_sum")
    algorithm, networks = trained(page)
    assert type(networks.mixer) is type(networks.target_mixer) is page.WeightedSumMixer
    before = weights(networks.mixer)
    algorithm.train()
    assert not torch.equal(before, weights(networks.mixer))
    algorithm.stop()


def test_a_new_mixer_trains_from_an_experiment_file(example):
    from rllib_mmsa.command.experiment import preflight

    page = example("weighted_sum")
    assert "run: WeightedSum" in TEXT
    assert preflight.find_algorithm("WeightedSum", "here") is page.WeightedSum


def test_a_new_loss_is_logged_and_counts_1(example):
    page = example("value_size")
    algorithm, networks = trained(page)
    batch = batch_of(algorithm, algorithm.env_runner.sample(num_episodes=4))
    total = losses(algorithm, batch).item()
    logged, counts = learner(algorithm)._logged, networks.settings.loss_weights
    assert logged["value_size_loss"] > 0 and "value_size_loss" not in counts
    names = learner(algorithm).losses()
    assert total == pytest.approx(sum(counts.get(n, 1.0) * logged[n].item() for n in names))
    algorithm.stop()


def test_a_weight_in_the_settings_changes_what_is_learned(example):
    page = example("value_size_weight")
    learned = []
    for weight in (0.0, 0.1):
        config = page.WeightConfig().training(value_size_weight=weight)
        algorithm, networks = trained(page, config)
        assert networks.settings.value_size_weight == weight
        learned.append(weights(networks.agent))
        algorithm.stop()
    assert not torch.equal(*learned)


ALGORITHMS = {
    "weighted_sum": ("WeightedSum", {}),
    "value_size": ("ValueSize", {}),
    "value_size_weight": ("ValueSizeWeight", {"value_size_weight": 0.02}),
    "bounded_model": ("Bounded", {}),
}


def test_every_example_registers_an_algorithm_for_experiment_files(example):
    from rllib_mmsa.command.experiment import preflight
    from rllib_mmsa.command.experiment.structure import parse_experiment

    assert ALGORITHMS.keys() == FILES.keys()
    for page, (name, options) in ALGORITHMS.items():
        example(page)
        experiment = parse_experiment(page, {"run": name, "env": "two_step", "config": options})
        preflight.check([experiment])
        config = preflight.find_algorithm(name, page).get_default_config()
        assert config.algo_class.__name__ == name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_example_runs_as_printed_in_a_folder_of_its_own(tmp_path):
    from tests.smoke.test_cli import TINY, environment, rllib

    for page, code in FILES.items():
        (tmp_path / f"{page}.py").write_text(code, encoding="utf-8")
    [printed] = re.findall(r"```yaml\n(.*?)^```", TEXT, re.S | re.M)
    entries = yaml.safe_load(printed)
    for page, (name, options) in ALGORITHMS.items():
        entries[page] = {"run": name, "env": "two_step", "import": [f"{page}.py"],
                         "config": {**TINY, **options}}  # fmt: skip
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(entries))
    done = rllib(tmp_path, "train", "file", "f.yaml", "env=two_step", "--stop",
                 "{training_iteration: 1}", "--storage-path", "out", timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for page, (name, _) in ALGORITHMS.items():
        assert f"{page}: {name} on two_step" in done.stdout
    assert done.stdout.count("engine plain, since") == len(ALGORITHMS)
    alone = subprocess.run(
        [sys.executable, "weighted_sum.py"], cwd=tmp_path, env=environment(),
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.startswith("plain, since WeightedSumModule is not a class of this package")


def test_another_prior_is_what_learns_imagines_and_is_copied(example):
    page = example("bounded_model")
    algorithm, networks = trained(page)
    for model in (networks.world_model, networks.target_world_model):
        assert type(model) is page.BoundedModel
        with torch.no_grad():
            model.prior_net.linear.bias += 100.0
        before = torch.zeros(1, model.joint_dim)
        one_hots = torch.zeros(1, networks.num_agents * networks.num_actions)
        mean = model.prior(torch.zeros(1, model.embeddings_dim), before, one_hots).mean
        assert (mean - before).abs().max() <= 1.0
    hidden = torch.zeros(1, networks.num_agents, networks.settings.hidden_dim)
    obs = torch.zeros(1, networks.num_agents, networks.obs_size)
    actions = torch.zeros(1, networks.num_agents, dtype=torch.int64)
    latents = networks.target_world_model.imagine(hidden, obs, actions, 3)
    assert latents.diff(dim=1).abs().max() <= 1.0 + 1e-5
    algorithm.stop()
