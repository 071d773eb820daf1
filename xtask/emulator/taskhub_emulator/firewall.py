"""The web ACL of a load balancer: its association, and where it logs."""

import json

from ministack.core.responses import error_response_json, json_response
from ministack.services import waf

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only

_LOGGING = {}


def install():
    stacks.add("AWS::WAFv2::WebACLAssociation", _associate, _disassociate)
    stacks.add("AWS::WAFv2::LoggingConfiguration", _log, _stop_logging, _change_logging)
    _serve(waf)


def _associate(logical, properties, stack):
    client("wafv2").associate_web_acl(**only(properties, "WebACLArn", "ResourceArn"))
    return f"{properties['WebACLArn']}|{properties['ResourceArn']}", {}


def _disassociate(identifier, properties):
    client("wafv2").disassociate_web_acl(ResourceArn=properties["ResourceArn"])


def _log(logical, properties, stack):
    client("wafv2").put_logging_configuration(LoggingConfiguration=properties)
    return properties["ResourceArn"], {}


def _change_logging(identifier, old, new, stack):
    return _log(None, new, stack)


def _stop_logging(identifier, properties):
    client("wafv2").delete_logging_configuration(ResourceArn=identifier)


def _serve(service):
    """ministack's WAF has no logging configurations: three actions more."""
    former = service.handle_request

    async def handle_request(method, path, headers, body, query):
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        asked = json.loads(body) if body else {}
        if action == "PutLoggingConfiguration":
            wanted = asked["LoggingConfiguration"]
            _LOGGING[wanted["ResourceArn"]] = wanted
            return json_response(asked)
        if action in ("GetLoggingConfiguration", "DeleteLoggingConfiguration"):
            known = _LOGGING.get(asked["ResourceArn"])
            if not known:
                return error_response_json("WAFNonexistentItemException", "It logs nowhere.", 400)
            if action.startswith("Delete"):
                del _LOGGING[asked["ResourceArn"]]
                return json_response({})
            return json_response({"LoggingConfiguration": known})
        return await former(method, path, headers, body, query)

    service.handle_request = handle_request
