"""Says that the method as it is was tested against the fast engines (`make stamp`)."""

from rllib_mmsa.engine import trust

if __name__ == "__main__":
    trust.write_stamp()
    print(f"wrote {trust.STAMP}")
