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


def former(kind):
    """The handlers that ministack has for a type."""
    return _HANDLERS[kind]


def replace(kind, create, update, delete=None):
    """Makes and changes a type in another way than ministack."""
    handlers = {**_HANDLERS[kind], "create": create, "update": update}
    if delete:
        handlers["delete"] = delete
    handlers.pop("update_with_logical_id", None)
    _HANDLERS[kind] = handlers
