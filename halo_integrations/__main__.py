"""``python -m halo_integrations``."""

from halo_integrations.cli import main

main()
