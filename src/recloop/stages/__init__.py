"""The pipeline's stages: read params and files, call the core, write files.

Each is run as `python -m recloop.stages.NAME` from the folder that holds `dvc.yaml`, which says
what depends on what.
"""
