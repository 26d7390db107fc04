"""What a setting may be: numbers in ranges, choices, folders; and a section of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
)
from pydantic_core import PydanticCustomError


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "Input should be an odd number")
    return value


def _range(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise PydanticCustomError("range", "Input should be a range, the smaller number first")
    return value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


Fraction = Annotated[float, Field(ge=0, le=1)]
OddInt = Annotated[PositiveInt, AfterValidator(_odd)]
Range = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_range)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_one_or_more)]
FourOddInts = tuple[OddInt, OddInt, OddInt, OddInt]
FourInts = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
Blocks = tuple[NonNegativeInt, ...]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


class Section(BaseModel):
    """A part of the config: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
