"""Applies every correction, then starts ministack."""

from ministack.app import main

from taskhub_emulator import (
    alarms,
    backups,
    budgets,
    caches,
    containers,
    databases,
    engine,
    firewall,
    identity,
    network,
    scaling,
    secrets_manager,
    zones,
)

CORRECTIONS = (
    alarms,
    backups,
    budgets,
    caches,
    containers,
    databases,
    engine,
    firewall,
    identity,
    network,
    scaling,
    secrets_manager,
    zones,
)

for part in CORRECTIONS:
    part.install()

main()
