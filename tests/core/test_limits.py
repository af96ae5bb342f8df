from __future__ import annotations

import tomllib
from pathlib import Path

from engine.core.limits import LIMITS, models_note, pictures_note

ROOT = Path(__file__).parent.parent.parent


def test_pages_state_the_limits_that_hold() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] << 20 == LIMITS.upload_bytes
    assert pictures_note().startswith("Up to 64\xa0MiB and 100\xa0megapixels each")
    assert "600\xa0MiB (2\xa0GiB on the command line) and 537 million parameters" in models_note()
