"""Applies every correction, then starts ministack."""

from ministack.app import main

from taskhub_emulator import backups, containers, databases, firewall, identity, network, scaling, secrets_manager

for part in (backups, containers, databases, firewall, identity, network, scaling, secrets_manager):
    part.install()

main()
