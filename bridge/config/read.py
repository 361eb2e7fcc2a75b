"""File + environment + options -> Config, or the list of everything that is wrong, each with where it stands."""

from __future__ import annotations

import difflib
import itertools
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from bridge.config.checks import check, check_files
from bridge.config.lines import Path, key_lines, line_of
from bridge.config.settings import Config
from bridge.config.values import Setting, settings, wanted
from bridge.errors import ConfigError

ENVIRONMENT = "EMS_BRIDGE__"

Report = Callable[[Path, str, str], None]


def load(
    path: str | File | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of `path` (None: defaults), the environment (None: this process's) and `overrides`.

    `overrides` maps dotted keys (`broker.listen`) to values and wins; `options` names the option behind each key.
    Raises ConfigError for the first thing that is wrong, saying how many more there are.
    """
    config, errors = _read(path, overrides or {}, os.environ if environ is None else environ, options or {})
    if config is not None:
        return config
    first = errors[0]
    if len(errors) == 1:
        raise first
    more = f"and {len(errors) - 1} more: `ems-bridge check` lists them"
    raise ConfigError(first.where, first.what, f"{first.hint}; {more}" if first.hint else more)


def problems(path: str | File | None, *, environ: Mapping[str, str] | None = None) -> list[ConfigError]:
    """Everything that is wrong with `path` and the environment; empty when it can be used."""
    return _read(path, {}, os.environ if environ is None else environ, {}, files=True)[1]


def _read(
    path: str | File | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    options: Mapping[str, str],
    *,
    files: bool = False,
) -> tuple[Config | None, list[ConfigError]]:
    errors: list[ConfigError] = []
    try:
        tree, lines = _file(path)
    except ConfigError as error:
        return None, [error]
    origins: dict[Path, str] = {}

    def where(at: Path) -> str:
        for depth in range(len(at), 0, -1):
            if at[:depth] in origins:
                return origins[at[:depth]]
        if at not in lines:
            inside = [name for inner, name in origins.items() if inner[: len(at)] == at]
            if inside:
                return inside[0]
        return f"{path}:{line_of(lines, at)}" if path else ".".join(map(str, at))

    def report(at: Path, what: str, hint: str = "") -> None:
        errors.append(ConfigError(where(at), what, hint))

    for name in sorted(environ):
        if name.startswith(ENVIRONMENT):
            _from_environment(tree, name, environ[name], origins, report)
    for key, value in overrides.items():
        at = tuple(key.split("."))
        origins[at] = options.get(key, key)
        _put(tree, at, value)
    config = _build(Config, tree, (), report)
    if config is not None:
        config = _loopback_by_default(config, tree)
        check(config, report)
        if files and not errors:
            check_files(config, report)
    errors.sort(key=_position)
    return (None if errors else config), errors


def _file(path: str | File | None) -> tuple[dict[str, Any], dict[Path, int]]:
    if path is None:
        return {}, {}
    try:
        text = File(path).read_bytes().decode()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}", "the path of a TOML file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}", "is not UTF-8", "TOML files are UTF-8") from None
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError(f"{path}:{line}", f"not TOML: {what}", f"column {found[2]}" if found else "") from None
    except RecursionError:
        raise ConfigError(f"{path}:1", "not TOML: nested too deep") from None
    except ValueError:
        raise ConfigError(f"{path}:1", "not TOML: a number of thousands of digits") from None
    return tree, key_lines(text)


def _position(error: ConfigError) -> tuple[str, int]:
    file, _, line = error.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (error.where, 0)


# Environment


def _from_environment(tree: dict[str, Any], name: str, text: str, origins: dict[Path, str], report: Report) -> None:
    at: Path = tuple(
        int(part) if part.isdecimal() and len(part) < 10 else part.lower()
        for part in name.removeprefix(ENVIRONMENT).split("__")
    )
    origins[at] = name
    setting = _setting(at)
    value: object = text
    if setting is None or not _is_text(setting):
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            if setting is not None:
                report(at, f"{text!r} is no TOML value", f"{_dotted(at)} is {wanted(setting)}")
                return
    if not _put(tree, at, value):
        report(
            at, f"no place for {_dotted(at)}", "sections and keys in capitals; arrays by number, from 0, without holes"
        )


def _setting(at: Path) -> Setting | None:
    """The setting at a path; None when the path names none, or names a value inside a free table."""
    cls: type[Struct] = Config
    setting: Setting | None = None
    for part in at:
        if setting is not None and isinstance(part, int):
            if setting.item is None:
                return None
            cls, setting = setting.item, None
            continue
        known = settings(cls)
        if part not in known:
            return None
        setting = known[str(part)]
        if isinstance(setting.type, type) and issubclass(setting.type, Struct):
            cls = setting.type
    return setting


def _is_text(setting: Setting) -> bool:
    literal = get_origin(setting.type) is Literal and isinstance(get_args(setting.type)[0], str)
    return setting.type is str or literal


def _put(tree: dict[str, Any], at: Path, value: object) -> bool:
    """Set `value` at `at`, making tables on the way; False when something else stands in the way."""
    place: Any = tree
    for part, following in itertools.pairwise(at):
        fresh: object = [] if isinstance(following, int) else {}
        if isinstance(place, dict):
            place = place.setdefault(part, fresh)
        elif isinstance(place, list) and isinstance(part, int) and part <= len(place):
            if part == len(place):
                place.append(fresh)
            place = place[part]
        else:
            return False
    last = at[-1]
    if isinstance(place, list) and isinstance(last, int) and last <= len(place):
        place[last : last + 1] = [value]
        return True
    if isinstance(place, dict):
        place[last] = value
        return True
    return False


# Values


def _build(cls: type[Struct], table: object, at: Path, report: Report) -> Any:
    """An instance of `cls`, or None after reporting every key of `table` that is wrong."""
    if not isinstance(table, dict):
        report(at, f"{_dotted(at)} is {_shown(table)}", "a table")
        return None
    known = settings(cls)
    good = True
    values: dict[str, Any] = {}
    for key, value in _unsealed(table, known, at, report):
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {_dotted((*at, near[0]))}?" if near else "known: " + ", ".join(known)
            report((*at, key), f"unknown key {_dotted((*at, key))}", hint)
            good = False
            continue
        built = None if value is None else _value(known[key], value, (*at, key), report)
        good = good and built is not None
        values[key] = built
    for key, setting in known.items():
        if key not in values and key not in table and setting.default is msgspec.NODEFAULT:
            report(at, f"{_dotted((*at, key))} is missing", wanted(setting))
            good = False
    return cls(**values) if good else None


def _unsealed(
    table: dict[str, Any], known: dict[str, Setting], at: Path, report: Report
) -> Iterator[tuple[str, object]]:
    """The keys of a table with their values; for `token_file`, where `token` is a secret, `token` as that file has it."""
    for key, value in table.items():
        name = str(key).removesuffix("_file")
        if key in known or name not in known or not known[name].secret:
            yield key, value
            continue
        here = (*at, key)
        if name in table:
            report(here, f"{_dotted(here)} and {_dotted((*at, name))} are both there", "one of them")
        secret = _secret(value, here, report)
        yield name, secret


def _secret(path: object, at: Path, report: Report) -> object:
    """The text of a file with a secret, without the line's end; what cannot be read is reported, and None."""
    if not isinstance(path, str):
        report(at, f"{_dotted(at)} is {_shown(path)}", "the path of a file")
        return None
    try:
        text = File(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        report(at, f'{_dotted(at)} is "{path}", which cannot be read: {why}', "a file with the secret alone")
        return None
    if not text:
        report(at, f'{_dotted(at)} is "{path}", which is empty', "a file with the secret alone")
        return None
    return text


def _value(setting: Setting, value: object, at: Path, report: Report) -> Any:
    kind = setting.type
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _build(kind, value, at, report)
    if setting.item is not None:
        if not isinstance(value, list):
            report(at, f"{_dotted(at)} is {_shown(value)}", f"an array of tables: [[{_dotted(at)}]]")
            return None
        items = [_build(setting.item, item, (*at, index), report) for index, item in enumerate(value)]
        return None if None in items else tuple(items)
    shown = "a value that is not shown" if setting.secret else _shown(value)
    if isinstance(value, float) and not math.isfinite(value):
        report(at, f"{_dotted(at)} is {shown}", wanted(setting))
        return None
    try:
        return msgspec.convert(value, Annotated[setting.type, setting.meta], strict=True)
    except msgspec.ValidationError:
        if not (isinstance(value, dict) and get_origin(kind) is dict):
            report(at, f"{_dotted(at)} is {shown}", wanted(setting))
            return None
        inside = get_args(kind)[1]
        hidden = get_origin(inside) is not Literal  # a plugin's password in the wrong place
        item = Setting(inside, Meta(extra={"secret": hidden}), msgspec.NODEFAULT)
        for key, inner in value.items():
            _value(item, inner, (*at, key), report)
        return None


def _loopback_by_default(config: Config, tree: dict[str, Any]) -> Config:
    """Without passwords a listener that nobody named binds loopback only."""
    if not config.broker.allow_anonymous:
        return config
    changes: dict[str, Any] = {}
    for section in ("broker", "http"):
        part = getattr(config, section)
        if "listen" not in tree.get(section, {}):
            listen = "127.0.0.1:" + part.listen.rpartition(":")[2]
            changes[section] = msgspec.structs.replace(part, listen=listen)
    return msgspec.structs.replace(config, **changes)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else str(value)


def _dotted(at: Path) -> str:
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"')
    return text
