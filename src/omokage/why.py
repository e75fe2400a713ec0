"""Say what made a figure or report: `make why FIGURE=path` prints the stamp that the file carries."""

import json
import sys
from pathlib import Path

from omokage import provenance
from omokage.errors import Refused

if __name__ == "__main__":
    try:
        print(json.dumps(provenance.read(Path(sys.argv[1])), indent=1, sort_keys=True))
    except (Refused, OSError) as error:
        sys.exit(f"omokage: {error}")
