"""The enhancement model that a command was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rawpipe._errors import PipelineError


def chosen(name: str, given: Mapping[str, object], wished: Mapping[str, object]) -> Any:
    """The enhancer of that name.

    Args:
        name: under which it is registered.
        given: options by name, None = not given; the model has to have those that are.
        wished: parameters for models that have them.

    Raises:
        PipelineError: the model has no such parameter, or there is no such model.
    """
    from rawpipe import _registry

    kind = _registry.load(name, _registry.ENHANCERS)
    known = inspect.signature(kind).parameters
    parameters = {option: value for option, value in given.items() if value is not None}
    for option in parameters:
        if option not in known:
            raise PipelineError(f"got --{option} for {name}, which has no such parameter; leave it out")
    return kind(**parameters, **{option: value for option, value in wished.items() if option in known})
