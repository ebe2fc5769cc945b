"""docs/settings.md has every option that `training()` takes, as the docstrings say."""

from rllib_mmsa.rllib.training_options import MMSATrainingOptions
from scripts.settings_page import PAGE, page

#: RLlib's, which have no default of this project's.
RLLIBS = {"train_batch_size", "learner_class", "learner_config_dict"}


def test_the_page_is_what_the_docstrings_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m scripts.settings_page"


def test_every_training_option_is_on_it():
    text = page()
    missing = [n for n in MMSATrainingOptions.__annotations__ if f"`{n}`" not in text]
    assert set(missing) == RLLIBS
