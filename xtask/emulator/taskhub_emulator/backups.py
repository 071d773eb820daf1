"""What a backup plan keeps: AWS Backup has selections, stacks of ministack lack them."""

from taskhub_emulator import stacks
from taskhub_emulator.inside import client


def install():
    stacks.add("AWS::Backup::BackupSelection", _select, _deselect)


def _select(logical, properties, stack):
    made = client("backup").create_backup_selection(
        BackupPlanId=properties["BackupPlanId"],
        BackupSelection=properties["BackupSelection"],
    )
    identifier = f"{made['SelectionId']}_{made['BackupPlanId']}"
    return identifier, {"SelectionId": made["SelectionId"], "BackupPlanId": made["BackupPlanId"], "Id": identifier}


def _deselect(identifier, properties):
    selection, _, plan = identifier.partition("_")
    client("backup").delete_backup_selection(BackupPlanId=plan, SelectionId=selection)
