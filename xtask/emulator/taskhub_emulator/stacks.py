"""How a resource of a stack is made: the table that ministack's CloudFormation looks into."""

import sys

from ministack.services.cloudformation import provisioners

_HANDLERS = provisioners._RESOURCE_HANDLERS


def add(kind, create, delete, update=None):
    """Adds a type that ministack refuses.

    `create(logical, properties, stack)` and `update(identifier, old, new, stack)` give the physical
    identifier and the attributes; `delete(identifier, properties)` gives nothing.
    """
    if kind in _HANDLERS:
        sys.exit(f"ministack knows {kind} by itself now: take it out of the extension")
    _HANDLERS[kind] = {"create": create, "delete": delete}
    if update:
        _HANDLERS[kind]["update"] = update


def handlers(kind):
    """What ministack does for a type."""
    return _HANDLERS[kind]


def replace(kind, create, update, delete=None):
    """Makes and changes a type in another way than ministack."""
    made = {**_HANDLERS[kind], "create": create, "update": update}
    if delete:
        made["delete"] = delete
    made.pop("update_with_logical_id", None)
    _HANDLERS[kind] = made


def complete(kind, addition):
    """Adds what ministack leaves out of a type that it makes.

    `addition(identifier, properties, attributes)` gives the attributes that are missing.
    """
    former = _HANDLERS[kind]

    def create(logical, properties, stack):
        return _with(former["create"](logical, properties, stack), properties)

    def update(identifier, old, new, stack, logical=None):
        if "update" not in former:
            return create(logical or identifier, new, stack)
        if former.get("update_with_logical_id"):
            return _with(former["update"](identifier, old, new, stack, logical), new)
        return _with(former["update"](identifier, old, new, stack), new)

    def _with(made, properties):
        identifier, attributes = made
        return identifier, {**attributes, **addition(identifier, properties, attributes)}

    _HANDLERS[kind] = {**former, "create": create, "update": update, "update_with_logical_id": True}
