"""Settings: a schema, and a loader of recipes."""

from ava_detect.config.loader import (
    dump_config,
    find_recipe,
    load_config,
    no_setting,
    parse_config,
    recipe_folder,
    recipe_names,
    setting_choices,
    setting_names,
)
from ava_detect.config.schema import Config

__all__ = [
    "Config",
    "dump_config",
    "find_recipe",
    "load_config",
    "no_setting",
    "parse_config",
    "recipe_folder",
    "recipe_names",
    "setting_choices",
    "setting_names",
]
