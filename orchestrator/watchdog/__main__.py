"""``python -m orchestrator.watchdog``: started by the engine, never by hand."""

import sys

from orchestrator.watchdog.guardian import main

sys.exit(main())
