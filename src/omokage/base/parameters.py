"""The base class of every stage's parameters."""

from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """The parameters of one stage; the values are immutable.

    Unknown parameters are rejected. Types are strict: text is not converted to a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError for a parameter that the stage does not declare.

        DVC would not rerun the stage after a change of such a parameter.
        """
        raise AttributeError(
            f"parameter {name!r} is not declared by this stage (declared: {', '.join(type(self).model_fields)}): "
            f"add it to {type(self).__module__} and run `make deps`"
        )

    def values(self) -> dict[str, Any]:
        """Return the parameters as plain data, in the order of the schema."""
        return self.model_dump()
