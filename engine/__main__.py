"""``python -m engine``: the command line, see `engine.cli`."""

import sys

from engine.errors import PackageError
from engine.packages import demand_packages

try:
    demand_packages()
except PackageError as error:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

from engine.cli.main import main

sys.exit(main())
