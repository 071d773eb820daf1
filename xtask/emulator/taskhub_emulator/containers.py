"""Task definitions, services and clusters: stacks of ministack lose many of their properties.

Here they go through the API of ECS, in full, so that a property that ECS does not know fails the stack.
"""

import json
import time

from ministack.services import ecs

from taskhub_emulator import stacks
from taskhub_emulator.inside import camel, client

# Maps of names that users choose.
_FREE = ("Options", "DockerLabels", "DriverOpts", "Labels", "SystemControls")
# What a service is created with and may not be updated with.
_FIXED = ("serviceName", "launchType", "role", "tags", "enableECSManagedTags", "propagateTags", "schedulingStrategy")
# What ministack's service does not keep when it is created.
_DROPPED = (
    "healthCheckGracePeriodSeconds",
    "platformVersion",
    "propagateTags",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "availabilityZoneRebalancing",
)


def install():
    stacks.replace("AWS::ECS::TaskDefinition", _register, _register_next)
    stacks.replace("AWS::ECS::Service", _create, _update)
    stacks.add("AWS::ECS::ClusterCapacityProviderAssociations", _associate, _dissociate, _reassociate)
    ecs._ACTION_MAP["RunTask"] = _run


def _register(logical, properties, stack):
    family = {"Family": properties.get("Family", f"{stack}-{logical}")}
    made = client("ecs").register_task_definition(**_spelled({**properties, **family}))["taskDefinition"]
    arn = made["taskDefinitionArn"]
    wanted = _spelled(properties)
    kept = ecs._task_defs[arn.split("task-definition/")[-1]]
    for name in ("runtimePlatform", "ephemeralStorage"):
        if name in wanted:
            kept[name] = wanted[name]
    return arn, {"TaskDefinitionArn": arn}


def _register_next(identifier, old, new, stack):
    made = _register(new.get("Family"), new, stack)
    client("ecs").deregister_task_definition(taskDefinition=identifier)
    return made


def _create(logical, properties, stack):
    wanted = _spelled(properties)
    wanted.setdefault("serviceName", f"{stack}-{logical}")
    # An absent count is one task in a new service and whatever runs in one that is there.
    wanted.setdefault("desiredCount", 1)
    made = client("ecs").create_service(**wanted)["service"]
    _keep(made, wanted)
    return made["serviceArn"], {"ServiceArn": made["serviceArn"], "Name": made["serviceName"]}


def _update(identifier, old, new, stack):
    wanted = {name: value for name, value in _spelled(new).items() if name not in _FIXED}
    made = client("ecs").update_service(service=identifier.rpartition("/")[2], **wanted)["service"]
    _keep(made, _spelled(new))
    return identifier, {"ServiceArn": identifier, "Name": made["serviceName"]}


def _keep(made, wanted):
    for service in ecs._services.values():
        if service["serviceArn"] == made["serviceArn"]:
            service.update({name: wanted[name] for name in _DROPPED if name in wanted})


def _associate(logical, properties, stack):
    wanted = _spelled(properties)
    client("ecs").put_cluster_capacity_providers(**wanted)
    return wanted["cluster"], {}


def _dissociate(cluster, properties):
    pass


def _reassociate(identifier, old, new, stack):
    return _associate(None, new, stack)


def _run(asked):
    """Without a container engine nothing runs, and a task that somebody waits for would never end: it does, with 0."""
    status, headers, content = ecs._run_task(asked)
    if status == 200 and not ecs._get_docker():
        for told in json.loads(content)["tasks"]:
            task = ecs._tasks[told["taskArn"]]
            task.update(lastStatus="STOPPED", desiredStatus="STOPPED", stopCode="EssentialContainerExited")
            task.update(stoppedAt=time.time(), stoppedReason="Essential container in task exited")
            for container in task["containers"]:
                container.update(lastStatus="STOPPED", exitCode=0)
    return status, headers, content


def _spelled(properties):
    return camel(properties, _FREE)
