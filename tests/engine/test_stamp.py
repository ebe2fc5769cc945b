"""The stamp is of the method as it is: a change is not shipped before the engines were tested."""

import json

from rllib_mmsa.engine import trust


def test_the_stamp_is_of_the_files_as_they_are():
    assert json.loads(trust.STAMP.read_text()) == trust.fingerprints(), "run `make stamp`"
