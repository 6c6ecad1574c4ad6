"""Stages of the pipeline: each reads params and files, calls the core and writes files.

A stage is run as `python -m recloop.stages.NAME` in the folder of `dvc.yaml`, which lists the
dependencies of every stage.
"""
