"""RDS: the managed password of an instance, its exports of logs, and subscriptions to events."""

import json
import secrets
import uuid
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, get_region
from ministack.services import rds, secretsmanager

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only

_SUBSCRIPTIONS = {}
_NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"


def install():
    stacks.complete("AWS::RDS::DBInstance", _complete)
    rds._instance_xml = _telling_exports(rds._instance_xml)
    stacks.add("AWS::RDS::EventSubscription", _subscribe, _unsubscribe, _resubscribe)
    _serve(rds)


def _telling_exports(tell):
    """ministack always says that no log is exported."""

    def complete(instance):
        members = "".join(f"<member>{escape(log)}</member>" for log in instance.get("EnabledCloudwatchLogsExports", []))
        exports = f"<EnabledCloudwatchLogsExports>{members}</EnabledCloudwatchLogsExports>"
        return tell(instance).replace("<EnabledCloudwatchLogsExports/>", exports)

    return complete


def _complete(identifier, properties, attributes):
    """What the resource says and ministack leaves out."""
    instance = rds._instances[identifier]
    if properties.get("EnableCloudwatchLogsExports"):
        instance["EnabledCloudwatchLogsExports"] = properties["EnableCloudwatchLogsExports"]
    if properties.get("CACertificateIdentifier"):
        instance["CACertificateIdentifier"] = properties["CACertificateIdentifier"]
    if str(properties.get("ManageMasterUserPassword", "")).lower() == "true":
        arn = instance.get("MasterUserSecret", {}).get("SecretArn") or _managed_secret(identifier, properties)
        status = {"SecretArn": arn, "SecretStatus": "active"}
        status.update({"KmsKeyId": key for key in [properties.get("MasterUserSecret", {}).get("KmsKeyId")] if key})
        instance["MasterUserSecret"] = status
        return {"MasterUserSecret.SecretArn": arn}
    return {}


def _managed_secret(identifier, properties):
    content = {"username": properties.get("MasterUsername"), "password": secrets.token_urlsafe(24)}
    return secretsmanager.create_secret_in_process(
        f"rds!db-{uuid.uuid4()}",
        json.dumps(content),
        description=f"Secret managed by RDS for {identifier}",
    )


def _subscribe(logical, properties, stack):
    name = properties.get("SubscriptionName") or f"{stack}-{logical}".lower()
    wanted = only(properties, "SnsTopicArn", "SourceType", "EventCategories", "SourceIds", "Enabled")
    client("rds").create_event_subscription(SubscriptionName=name, **wanted)
    return name, {}


def _resubscribe(identifier, old, new, stack):
    _unsubscribe(identifier, old)
    return _subscribe(None, {**new, "SubscriptionName": identifier}, stack)


def _unsubscribe(identifier, properties):
    client("rds").delete_event_subscription(SubscriptionName=identifier)


def _serve(service):
    """ministack's RDS has no event subscriptions: three actions more."""
    actions = {
        "CreateEventSubscription": _create,
        "DeleteEventSubscription": lambda asked: _one(asked, _SUBSCRIPTIONS.pop(_word(asked, "SubscriptionName"))),
        "DescribeEventSubscriptions": _describe,
    }
    for action in actions:
        if action in service._ACTION_MAP:
            raise SystemExit(f"ministack knows {action} by itself now: take it out of the extension")
    service._ACTION_MAP.update(actions)


def _word(asked, name):
    value = asked.get(name, "")
    return value[0] if isinstance(value, list) else value


def _words(asked, name, member):
    found = []
    while _word(asked, f"{name}.{member}.{len(found) + 1}"):
        found.append(_word(asked, f"{name}.{member}.{len(found) + 1}"))
    return found


def _create(asked):
    name = _word(asked, "SubscriptionName")
    _SUBSCRIPTIONS[name] = {
        "CustomerAwsId": get_account_id(),
        "CustSubscriptionId": name,
        "SnsTopicArn": _word(asked, "SnsTopicArn"),
        "Status": "active",
        "SourceType": _word(asked, "SourceType"),
        "EventCategoriesList": [("EventCategory", word) for word in _words(asked, "EventCategories", "EventCategory")],
        "SourceIdsList": [("SourceId", word) for word in _words(asked, "SourceIds", "SourceId")],
        "Enabled": _word(asked, "Enabled") or "true",
        "EventSubscriptionArn": f"arn:aws:rds:{get_region()}:{get_account_id()}:es:{name}",
    }
    return _one(asked, _SUBSCRIPTIONS[name])


def _describe(asked):
    wanted = _word(asked, "SubscriptionName")
    known = [one for name, one in _SUBSCRIPTIONS.items() if wanted in ("", name)]
    members = "".join(_element("EventSubscription", one) for one in known)
    return _answer(asked, f"<EventSubscriptionsList>{members}</EventSubscriptionsList>")


def _one(asked, subscription):
    return _answer(asked, _element("EventSubscription", subscription))


def _answer(asked, inner):
    action = _word(asked, "Action")
    text = f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{inner}</{action}Result></{action}Response>'
    return 200, {"Content-Type": "text/xml"}, text.encode()


def _element(name, value):
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list):
        return f"<{name}>{''.join(_element(*pair) for pair in value)}</{name}>"
    return f"<{name}>{escape(value)}</{name}>"
