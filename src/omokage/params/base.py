"""What every stage's part of the schema has in common."""

from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """The parameters of one stage: closed, immutable, strictly typed (no text is taken for a number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

    def __getattr__(self, name: str) -> NoReturn:
        """Raise for a parameter the stage does not declare, since reading it would make the cache lie."""
        raise AttributeError(
            f"parameter {name!r} is not among those this stage declares ({', '.join(type(self).model_fields)}): "
            f"add it to the stage in dvc.yaml and to {type(self).__module__}"
        )

    def values(self) -> dict[str, Any]:
        """Return the parameters as plain data, in the order of the schema."""
        return self.model_dump()
