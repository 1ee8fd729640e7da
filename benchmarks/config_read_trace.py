"""A plug-in that writes down which keys of the config each process of a run reads; config_reads.py runs with it.

It is loaded at `import verl` in every process. A key counts as read when code asks a DictConfig for its value, or one
of verl's dataclasses that was made of one for a field. A node that is turned into plain containers counts as a whole,
with the module that did it, because what follows cannot be seen.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra.utils
from omegaconf import DictConfig, ListConfig, OmegaConf

FOLDER = "MEDIX_R1_READS"  # environment variable: a folder, with one file a process
_PATH = "_key_in_the_config"  # where a dataclass keeps the key that it was made of
_quiet = threading.local()
_seen: set[str] = set()


def _note(line: str) -> None:
    if line in _seen or vars(_quiet).get("depth", 0):
        return
    _seen.add(line)
    with (Path(os.environ[FOLDER]) / str(os.getpid())).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose own reads do not count."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        _quiet.depth = vars(_quiet).get("depth", 0) + 1
        try:
            return function(*args, **kwargs)
        finally:
            _quiet.depth -= 1

    return wrapped


def _key(node: Any) -> str | None:
    """The key of a node in the config; None for a node that stands alone."""
    try:
        return str(node._get_full_key(None)) or None
    except Exception:  # noqa: BLE001  a node that is half made has no key
        return None


def _mark(made: Any, key: str) -> None:
    """Tell a dataclass, and those in its fields, the key that each was made of."""
    if not dataclasses.is_dataclass(made) or isinstance(made, type):
        return
    made.__dict__[_PATH] = key
    for field in dataclasses.fields(made):
        _mark(made.__dict__.get(field.name), f"{key}.{field.name}")


def _converting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes an object of a node: its reads do not count, those of the object will."""
    quiet = _quietly(function)

    @functools.wraps(function)
    def wrapped(config: Any, *args: Any, **kwargs: Any) -> Any:
        made, key = quiet(config, *args, **kwargs), _key(config) if isinstance(config, DictConfig) else None
        if key is not None and dataclasses.is_dataclass(made):
            _mark(made, key)
        elif key is not None:
            _note(f"{key} whole {sys._getframe(1).f_globals.get('__name__')}")
        return made

    return wrapped


def install() -> None:
    """Patch OmegaConf, Hydra's instantiate and verl's dataclasses, in this process."""
    get = DictConfig._get_impl

    def traced_get(self: DictConfig, key: Any, default_value: Any, validate_key: bool = True) -> Any:
        value = get(self, key, default_value, validate_key)
        if not isinstance(value, DictConfig) and (full := self._get_full_key(key)):
            _note(full)
        return value

    select, to_container = OmegaConf.select, OmegaConf.to_container

    def traced_select(cfg: Any, key: str, **kwargs: Any) -> Any:
        if isinstance(cfg, DictConfig):
            own = _key(cfg)
            _note(f"{own}.{key}" if own else key)
        return _quietly(select)(cfg, key, **kwargs)

    def traced_container(cfg: Any, **kwargs: Any) -> Any:
        if isinstance(cfg, DictConfig | ListConfig) and (key := _key(cfg)):
            _note(f"{key} whole {sys._getframe(1).f_globals.get('__name__')}")
        return _quietly(to_container)(cfg, **kwargs)

    patched: Any = DictConfig
    patched._get_impl = traced_get
    omegaconf: Any = OmegaConf
    omegaconf.select, omegaconf.to_container = staticmethod(traced_select), staticmethod(traced_container)
    for name in ("resolve", "merge", "to_yaml", "save", "to_object"):
        setattr(omegaconf, name, staticmethod(_quietly(getattr(OmegaConf, name))))
    module: Any = hydra.utils
    module.instantiate = _converting(hydra.utils.instantiate)
    _install_in_verl()


def _install_in_verl() -> None:
    import verl.base_config
    import verl.utils.config

    verl.utils.config.omega_conf_to_dataclass = _converting(verl.utils.config.omega_conf_to_dataclass)
    base: Any = verl.base_config.BaseConfig
    plain = object.__getattribute__

    def traced(self: Any, name: str) -> Any:
        value = plain(self, name)
        if not name.startswith("_") and name in type(self).__dataclass_fields__:
            key = plain(self, "__dict__").get(_PATH)
            if key is not None and not dataclasses.is_dataclass(value):
                _note(f"{key}.{name}")
        return value

    base.__getattribute__ = traced
    base.__repr__ = _quietly(object.__repr__)


# Not in the command itself, whose checks read everything, and which loads plug-ins without verl.
if os.environ.get(FOLDER) and "verl" in sys.modules and not hasattr(DictConfig, "_is_traced"):
    install()
    DictConfig._is_traced = True  # type: ignore[attr-defined]
