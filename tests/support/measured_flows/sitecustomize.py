"""Measure the coverage of this process if it runs flows and MEASURED_FLOWS names the repository.

Python imports this module when it starts with its folder on PYTHONPATH. Other processes, such as
those of the stages, are not measured: tracing makes them take half as long again.
"""

import os
import sys

_PROGRAMS = ("flows.", "prefect.engine")

repository = os.environ.get("MEASURED_FLOWS")
if repository and any(word.startswith(_PROGRAMS) for word in sys.orig_argv):
    import coverage

    coverage.Coverage(
        data_file=f"{repository}/.coverage",
        data_suffix=True,
        auto_data=True,
        config_file=f"{repository}/pyproject.toml",
    ).start()
