"""Build the wheel: pyproject.toml says what timnet is, this says which folders beside timnet/ go into it.

An installed timnet finds them as `timnet/shipped/assets` and `timnet/shipped/checkpoints` (`config.BUNDLE`).
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Others in checkpoints/ are the user's own.
SHIPPED = re.findall(r"(?m)^!checkpoints/(.+)/$", Path(".gitignore").read_text(encoding="utf-8"))

setup(
    packages=[
        *find_packages(include=["timnet", "timnet.*"]),
        "timnet.shipped.assets",
        "timnet.shipped.checkpoints",
    ],
    package_dir={"timnet.shipped.assets": "assets", "timnet.shipped.checkpoints": "checkpoints"},
    package_data={
        "timnet": ["py.typed", "ui/browser/*", "simulation/phrases.toml", "reports/phrases/*"],
        "timnet.shipped.assets": ["**/*"],
        "timnet.shipped.checkpoints": [f"{name}/*" for name in SHIPPED],
    },
    exclude_package_data={"timnet.shipped.assets": ["chest/fit.py", "chest/fit_pose.py"]},
)
