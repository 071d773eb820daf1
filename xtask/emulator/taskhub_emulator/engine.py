"""Tasks as containers, where `TASK_ENGINE` names the socket of a container engine.

They share this machine's network, for everything that they need listens on its loopback: the emulator itself and the
servers that stand for RDS and ElastiCache. Each has a loopback address of its own, as it has one of its own in AWS.
"""

import itertools
import json
import os

from ministack.services import ecs

# The variables that say where a program listens.
_LISTENING = ("LISTEN_ADDRESS", "METRICS_ADDRESS")
_NUMBERS = itertools.count()


def install():
    # ministack would run databases and caches of its own in whatever engine it finds.
    os.environ["DOCKER_HOST"] = "unix:///dev/null"
    if "TASK_ENGINE" not in os.environ:
        return
    import docker

    ecs._docker = docker.DockerClient(base_url=os.environ["TASK_ENGINE"], timeout=60)
    ecs._build_run_kwargs = _as_defined(ecs._build_run_kwargs)
    ecs._run_docker_container = _pulled_here(ecs._run_docker_container)
    ecs._container_ip = _address_of


def _as_defined(build):
    """What the task definition asks for and ministack does not pass on."""

    def arguments(container, task, environment, *rest):
        made = build(container, task, environment, *rest)
        # Images that are tried on this machine are of its own architecture.
        for name in ("network", "ports", "extra_hosts", "platform"):
            made.pop(name, None)
        linux = container.get("linuxParameters", {})
        made["labels"]["taskhub.emulator"] = os.environ["GATEWAY_PORT"]
        made.update(
            network_mode="host",
            environment={**environment, **_own_variables(environment)},
            read_only=container.get("readonlyRootFilesystem", False),
            user=container.get("user"),
            cap_drop=linux.get("capabilities", {}).get("drop", []),
            security_opt=["no-new-privileges"],
        )
        return made

    return arguments


def _own_variables(environment):
    port = int(os.environ["GATEWAY_PORT"])
    number = next(_NUMBERS)
    address = f"127.{port % 254 + 1}.{number // 254 + 1}.{number % 254 + 1}"
    listening = {name: f"{address}:{environment[name].rpartition(':')[2]}" for name in _LISTENING if name in environment}
    aws = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": os.environ["MINISTACK_REGION"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return {"TASK_ADDRESS": address, **aws, **listening, **json.loads(os.environ["TASK_ENVIRONMENT"])}


def _pulled_here(run):
    """Task definitions name the repository by its address in AWS; here it is a part of the emulator."""

    def pulled(engine, container, *rest, **options):
        _, slash, name = container["image"].partition("/")
        here = {**container, "image": f"127.0.0.1:{os.environ['GATEWAY_PORT']}{slash}{name}"}
        return run(engine, here, *rest, **options)

    return pulled


def _address_of(container, network):
    container.reload()
    variables = dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])
    return variables["TASK_ADDRESS"]
