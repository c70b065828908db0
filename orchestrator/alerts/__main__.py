"""``python -m orchestrator.alerts``: delivers what was told; see `orchestrator.alerts.process`."""

import sys

from orchestrator.alerts.process import main

sys.exit(main(sys.argv[1:]))
