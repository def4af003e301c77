"""What is said of secrets at rest."""

from pydantic import BaseModel


class SealedAgain(BaseModel):
    """What was done."""

    sealed_with: str
    """The id of the key that everything is sealed with now."""
    secrets: int
    """How many were sealed with another key before, or not at all."""
    failed: dict[str, str]
    """Why the secrets of a brand are as they were, by its id."""
