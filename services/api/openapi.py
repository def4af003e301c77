"""`python -m services.api.openapi` writes `docs/openapi.json`."""

import json
from pathlib import Path

from services.api.app import openapi

PATH = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> str:
    """The OpenAPI document as committed."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
