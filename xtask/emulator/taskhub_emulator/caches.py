"""Valkey: the names and ports of its nodes, the passwords of its users, and users whose rights hold a `&`."""

from xml.sax.saxutils import escape

from ministack.core.responses import get_region
from ministack.services import elasticache

from taskhub_emulator import stacks


def install():
    stacks.complete("AWS::ElastiCache::ReplicationGroup", _address)
    stacks.complete("AWS::ElastiCache::User", _authenticate)
    tell = elasticache._user_xml
    elasticache._user_xml = lambda user: tell({**user, "AccessString": escape(user["AccessString"])})


def _address(identifier, properties, known):
    """Without a container engine ministack names the host `redis`, whatever the port."""
    port = int(properties.get("Port", 6379))
    attributes = {}
    for node in elasticache._replication_groups[identifier]["NodeGroups"]:
        for role, name in (("Primary", "master"), ("Reader", "replica")):
            address = f"{name}.{identifier}.emulator.{get_region()}.cache.amazonaws.com"
            node[f"{role}Endpoint"] = {"Address": address, "Port": port}
            attributes[f"{role}EndPoint.Address"] = address
            attributes[f"{role}EndPoint.Port"] = str(port)
    return attributes


def _authenticate(identifier, properties, known):
    mode = properties.get("AuthenticationMode")
    if mode:
        count = len(mode.get("Passwords", []))
        elasticache._users[identifier]["Authentication"] = {"Type": mode["Type"], "PasswordCount": count}
    return {}
