"""A budget: AWS Budgets is there, its type in stacks is not."""

from ministack.core.responses import get_account_id

from taskhub_emulator import stacks
from taskhub_emulator.inside import client


def install():
    stacks.add("AWS::Budgets::Budget", _create, _delete, _update)


def _create(logical, properties, stack):
    budget = {"BudgetName": f"{stack}-{logical}", **properties["Budget"]}
    limit = budget.get("BudgetLimit")
    if limit:
        budget["BudgetLimit"] = {**limit, "Amount": str(limit["Amount"])}
    notifications = properties.get("NotificationsWithSubscribers", [])
    client("budgets").create_budget(
        AccountId=get_account_id(),
        Budget=budget,
        NotificationsWithSubscribers=notifications,
    )
    return budget["BudgetName"], {}


def _update(name, old, new, stack):
    _delete(name, old)
    return _create(None, {**new, "Budget": {**new["Budget"], "BudgetName": name}}, stack)


def _delete(name, properties):
    client("budgets").delete_budget(AccountId=get_account_id(), BudgetName=name)
