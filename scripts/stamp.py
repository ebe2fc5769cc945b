"""Says that the method as it is was tested against the fast engines (`make stamp`)."""

import sys

from rllib_mmsa.engine import trust
from rllib_mmsa.engine.native import bindings

if __name__ == "__main__":
    if why := bindings.unavailable():  # its tests were skipped, not passed
        sys.exit(f"nothing was tested: {why}; stamp on a machine that has the native engine")
    trust.write_stamp()
    print(f"wrote {trust.STAMP}")
