"""Make the vectors of the demo cohort that come with timnet: `make demo-vectors`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from timnet import config
from timnet.cohorts import demo_vectors
from timnet.cohorts.readers import demo
from timnet.cohorts.store import Cohort
from timnet.model import embed

NETWORK = config.SHIPPED
"""What Match reads simulated X-rays with."""


def main() -> None:
    """Import the demo into a folder of its own, read it with the network, and write what was read."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["TIMNET_HOME"] = home
        folder = config.demo()
        assert folder is not None
        demo.run(folder, "demo")
        cohort, checkpoint = Cohort.open(Path(home) / "demo"), config.checkpoints() / NETWORK
        embed.build(cohort, checkpoint)
        print(demo_vectors.write(cohort, checkpoint))


if __name__ == "__main__":
    main()
