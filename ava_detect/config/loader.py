"""From a recipe's name and `key.path=value` words to a checked Config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from ava_detect.config.schema import Config
from ava_eval.errors import InputError

BASE_KEY = "_BASE_"
Settings = dict[str, Any]


def recipe_folder() -> Path:
    """Folder of the recipes: `configs/` of a checkout, `recipes/` in an installed package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "configs"


def load_config(recipe: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a recipe (a path, or a name such as ``ava/slowfast_r50_8x8``) and apply overrides.

    An override is ``key.path=value``; the value is read as YAML. Raises InputError that names the
    file or the override, the setting, and the nearest setting that exists.
    """
    path = find_recipe(recipe)
    settings, origin = _read_layers(path, ())
    words = list(overrides)
    for word in words:
        if "=" not in word:
            raise InputError(no_setting(word, words))
        layer = _parse_override(word)
        _check_keys(layer, Config, word)
        _merge(settings, layer, origin, word)
    return _validate(settings, origin, str(path))


def parse_config(text: str, source: str) -> Config:
    """Read back what `dump_config` wrote, for example from a checkpoint named by ``source``."""
    settings = _as_mapping(_parse_yaml(text), source)
    _check_keys(settings, Config, source)
    return _validate(settings, {}, source)


def dump_config(config: Config) -> str:
    """The whole config as YAML text."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def no_setting(word: str, words: Iterable[str]) -> str:
    """What is wrong with a word that stands among ``words`` where a setting should."""
    has_blanks = any(other.startswith("=") or other.endswith("=") for other in words)
    hint = "without blanks around =, " if has_blanks else ""
    return f"{word}: expected key.path=value, {hint}for example optim.steps=500"


def find_recipe(recipe: str | Path) -> Path:
    """Path of a recipe given as a path or by its name."""
    path = Path(recipe)
    if path.is_file():
        return path
    folder = recipe_folder()
    named = folder / f"{recipe}.yaml"
    if named.is_file() and named.resolve().is_relative_to(folder.resolve()):
        return named
    if "=" in str(recipe):
        raise InputError(
            f"{recipe}: expected a YAML file or the name of a recipe, such as demo/ava, before the"
            " settings"
        )
    if path.is_dir():
        raise InputError(f"{recipe}: expected a YAML file or the name of a recipe, got a folder")
    names = recipe_names()
    near = difflib.get_close_matches(str(recipe), names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"the recipes are {', '.join(names)}"
    raise InputError(f"{recipe}: no such config file or recipe; {hint}")


def recipe_names() -> list[str]:
    """Names of the recipes, as `find_recipe` takes them."""
    folder = recipe_folder()
    return sorted(
        str(path.relative_to(folder).with_suffix(""))
        for path in folder.glob("*/*.yaml")
        if path.parent.name != "base"
    )


def setting_names(schema: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Names of all settings, such as ``optim.steps``, in the order of the schema."""
    names = []
    for key, field in schema.model_fields.items():
        section = _section(field.annotation)
        names += (
            [f"{prefix}{key}"] if section is None else setting_names(section, f"{prefix}{key}.")
        )
    return names


def setting_choices(schema: type[BaseModel] = Config, prefix: str = "") -> dict[str, list[str]]:
    """The values of those settings that take one of a few, as they are written."""
    found: dict[str, list[str]] = {}
    for key, field in schema.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            found |= setting_choices(section, f"{prefix}{key}.")
        elif field.annotation is bool:
            found[f"{prefix}{key}"] = ["true", "false"]
        elif get_origin(field.annotation) is Literal:
            found[f"{prefix}{key}"] = [str(value) for value in get_args(field.annotation)]
    return found


def _section(kind: Any) -> type[BaseModel] | None:
    """The schema of a setting that is a section of settings."""
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _read_layers(path: Path, parents: tuple[Path, ...]) -> tuple[Settings, dict[str, str]]:
    """Settings of a file over those of its `_BASE_`, and which file each setting came from.

    The base is a path from the file's folder, or the name of a recipe.
    """
    if path.resolve() in parents:
        raise InputError(f"{path}: {BASE_KEY}: leads back to itself")
    try:
        layer = _as_mapping(_parse_yaml(path.read_text(encoding="utf-8")), str(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        raise InputError.at(path, line, None, "a YAML file", remedy=_one_line(error)) from None
    base = layer.pop(BASE_KEY, None)
    settings: Settings = {}
    origin: dict[str, str] = {}
    if base is not None:
        base_path = path.parent / str(base)
        if not base_path.is_file():
            try:
                base_path = find_recipe(str(base).removesuffix(".yaml"))
            except InputError as error:
                raise InputError(f"{path}: {BASE_KEY}: {error}") from None
        settings, origin = _read_layers(base_path, (*parents, path.resolve()))
    _check_keys(layer, Config, str(path))
    _merge(settings, layer, origin, str(path))
    return settings, origin


class _Loader(yaml.SafeLoader):
    """YAML without dates: `output=2026-03-01` names a folder."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _as_mapping(value: Any, source: str) -> Settings:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{source}: expected settings as `key: value`, got {type(value).__name__}")
    return value


def _parse_override(word: str) -> Settings:
    key, equals, text = word.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(no_setting(word, [word]))
    try:
        value = _parse_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"{word}: expected a YAML value; {_one_line(error)}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _check_keys(
    layer: Mapping[str, Any], schema: type[BaseModel], source: str, prefix: str = ""
) -> None:
    """Refuse the first key that the schema lacks, with the nearest one that it has."""
    for key, value in layer.items():
        field = schema.model_fields.get(str(key))
        if field is None:
            hint = _nearest_setting(str(key), schema, prefix)
            raise InputError(f"{_at(source, f'{prefix}{key}')}: no such setting; {hint}")
        section = _section(field.annotation)
        if (section is not None) != isinstance(value, Mapping):
            expected = "one value" if section is None else "settings"
            where = _at(source, f"{prefix}{key}")
            raise InputError(f"{where}: expected {expected}, got {value!r}")
        if section is not None:
            _check_keys(value, section, source, f"{prefix}{key}.")


def _at(source: str, setting: str) -> str:
    """A file and its setting; a word that sets it names it already."""
    return source if source.startswith(f"{setting}=") else f"{source}: {setting}"


def _nearest_setting(key: str, schema: type[BaseModel], prefix: str) -> str:
    """What to write instead of a key that ``schema``, of the section ``prefix``, lacks."""
    near = difflib.get_close_matches(key, list(schema.model_fields), n=1)
    near = [f"{prefix}{name}" for name in near]
    if not near:  # a setting whose section was left out
        near = [name for name in setting_names() if name.rpartition(".")[2] == key][:3]
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"there are {', '.join(schema.model_fields)}"


def _merge(
    settings: Settings,
    layer: Mapping[str, Any],
    origin: dict[str, str],
    source: str,
    prefix: str = "",
) -> None:
    """Lay ``layer`` over ``settings`` in place, and note where each setting came from."""
    for key, value in layer.items():
        if isinstance(value, Mapping):
            _merge(settings.setdefault(key, {}), value, origin, source, f"{prefix}{key}.")
        else:
            settings[key] = value
            origin[f"{prefix}{key}"] = source


def _validate(settings: Settings, origin: Mapping[str, str], source: str) -> Config:
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = [key for key in origin if where == key or where.startswith(f"{key}.")]
        source = origin[known[0]] if known else source
        told = f"{_at(source, where)}: {first['msg']}, got {first['input']!r}"
        raise InputError(told) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
