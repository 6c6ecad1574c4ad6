"""Measure coverage in this process if it is a command of `flows` and MEASURED_FLOWS is set.

MEASURED_FLOWS names the repository whose coverage data are added to. Python imports this module
when it starts with its folder on PYTHONPATH. Other processes, such as those of the stages, are not
measured: tracing makes them take half as long again.
"""

import os
import sys

repository = os.environ.get("MEASURED_FLOWS")
if repository and any(word.startswith("flows.") for word in sys.orig_argv):
    import coverage

    coverage.Coverage(
        data_file=f"{repository}/.coverage",
        data_suffix=True,
        auto_data=True,
        config_file=f"{repository}/pyproject.toml",
    ).start()
