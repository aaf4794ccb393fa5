"""A wheel carries the studio's built page: this builds it where it is not there yet. Editable installs do without."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientHook(BuildHookInterface):
    """Runs client/build.py before a wheel or a source distribution is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the page; a machine without Node gets a package whose studio says what is missing."""
        root = Path(self.root)
        page = root / "src" / "mate" / "studio" / "client" / "index.html"
        script = root / "client" / "build.py"
        if version == "editable" or page.is_file() or not script.is_file():
            return
        if subprocess.run([sys.executable, str(script)], check=False).returncode:
            self.app.display_warning("the studio's page could not be built; `mate studio` will not show one")
