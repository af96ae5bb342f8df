"""``python -m engine``: the command line, see `engine.cli`."""

import sys

from engine.core.errors import PackageError
from engine.core.system import demand_packages

try:
    demand_packages()
except PackageError as error:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

from engine.cli.main import main

sys.exit(main())
