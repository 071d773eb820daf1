"""Application Auto Scaling, which ministack lacks: targets and policies are kept and told, and nothing scales."""

import json
import time
import uuid

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only

_NAME = "application-autoscaling"
_TARGETS = {}
_POLICIES = {}


def install():
    if _NAME in app.SERVICE_HANDLERS:
        raise SystemExit(f"ministack knows {_NAME} by itself now: take it out of the extension")
    app.SERVICE_HANDLERS[_NAME] = _handle
    router.SERVICE_PATTERNS[_NAME] = {"target_prefixes": ["AnyScaleFrontendService"]}
    stacks.add("AWS::ApplicationAutoScaling::ScalableTarget", _make_target, _delete_target, _change_target)
    stacks.add("AWS::ApplicationAutoScaling::ScalingPolicy", _make_policy, _delete_policy, _change_policy)


_ADDRESS = ("ServiceNamespace", "ResourceId", "ScalableDimension")


def _make_target(logical, properties, stack):
    wanted = only(properties, *_ADDRESS, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
    for bound in ("MinCapacity", "MaxCapacity"):
        wanted[bound] = int(wanted[bound])
    client(_NAME).register_scalable_target(**wanted)
    for action in properties.get("ScheduledActions", []):
        client(_NAME).put_scheduled_action(**only(properties, *_ADDRESS), **action)
    return "|".join(properties[name] for name in reversed(_ADDRESS)), {}


def _change_target(identifier, old, new, stack):
    return _make_target(None, new, stack)


def _delete_target(identifier, properties):
    client(_NAME).deregister_scalable_target(**only(properties, *_ADDRESS))


def _make_policy(logical, properties, stack):
    address = only(properties, *_ADDRESS)
    if "ScalingTargetId" in properties:
        dimension, resource, namespace = properties["ScalingTargetId"].split("|")
        address = {"ServiceNamespace": namespace, "ResourceId": resource, "ScalableDimension": dimension}
    wanted = only(
        properties,
        "PolicyName",
        "PolicyType",
        "TargetTrackingScalingPolicyConfiguration",
        "StepScalingPolicyConfiguration",
    )
    made = client(_NAME).put_scaling_policy(**address, **wanted)
    return made["PolicyARN"], {"Arn": made["PolicyARN"]}


def _change_policy(identifier, old, new, stack):
    return _make_policy(None, new, stack)


def _delete_policy(identifier, properties):
    _POLICIES.pop(identifier, None)


async def _handle(method, path, headers, body, query):
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    answer = _ACTIONS.get(action)
    if not answer:
        return error_response_json("InvalidAction", f"The emulator has no {action}.", 400)
    return answer(json.loads(body) if body else {})


def _key(asked):
    return tuple(asked[name] for name in _ADDRESS)


def _register(asked):
    target = {"CreationTime": time.time(), **_TARGETS.get(_key(asked), {}), **asked}
    target["ScalableTargetARN"] = f"arn:aws:{_NAME}:{get_region()}:{get_account_id()}:scalable-target/{uuid.uuid4()}"
    _TARGETS[_key(asked)] = target
    return json_response({"ScalableTargetARN": target["ScalableTargetARN"]})


def _deregister(asked):
    _TARGETS.pop(_key(asked), None)
    for arn in [arn for arn, policy in _POLICIES.items() if _key(policy) == _key(asked)]:
        del _POLICIES[arn]
    return json_response({})


def _put_policy(asked):
    if _key(asked) not in _TARGETS:
        return error_response_json("ObjectNotFoundException", "No scalable target registered.", 400)
    name = f"{asked['ResourceId']}:policyName/{asked['PolicyName']}"
    arn = f"arn:aws:autoscaling:{get_region()}:{get_account_id()}:scalingPolicy:{asked['ServiceNamespace']}:{name}"
    _POLICIES[arn] = {**asked, "PolicyARN": arn, "CreationTime": time.time()}
    return json_response({"PolicyARN": arn, "Alarms": []})


def _put_action(asked):
    _TARGETS[_key(asked)].setdefault("Scheduled", {})[asked["ScheduledActionName"]] = asked
    return json_response({})


def _delete_action(asked):
    if not _TARGETS.get(_key(asked), {}).get("Scheduled", {}).pop(asked["ScheduledActionName"], None):
        return error_response_json("ObjectNotFoundException", "No scheduled action found.", 400)
    return json_response({})


def _matching(kept, asked):
    resources = asked.get("ResourceIds") or [asked.get("ResourceId")]
    return [
        {name: value for name, value in one.items() if name != "Scheduled"}
        for one in kept.values()
        if one["ServiceNamespace"] == asked["ServiceNamespace"] and (resources == [None] or one["ResourceId"] in resources)
    ]


def _scheduled(asked):
    actions = [action for target in _TARGETS.values() for action in target.get("Scheduled", {}).values()]
    return json_response({"ScheduledActions": [
        {**action, "ScheduledActionARN": action["ScheduledActionName"], "CreationTime": time.time()}
        for action in actions
        if action["ServiceNamespace"] == asked["ServiceNamespace"]
    ]})


_ACTIONS = {
    "RegisterScalableTarget": _register,
    "DeregisterScalableTarget": _deregister,
    "PutScalingPolicy": _put_policy,
    "PutScheduledAction": _put_action,
    "DeleteScheduledAction": _delete_action,
    "DescribeScalableTargets": lambda asked: json_response({"ScalableTargets": _matching(_TARGETS, asked)}),
    "DescribeScalingPolicies": lambda asked: json_response({"ScalingPolicies": _matching(_POLICIES, asked)}),
    "DescribeScheduledActions": _scheduled,
}
