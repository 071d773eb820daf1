"""The identity provider that lets a pipeline take a role without a key, and the boundaries of roles."""

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only


def install():
    stacks.add("AWS::IAM::OIDCProvider", _create, _delete)
    stacks.complete("AWS::IAM::Role", _bound)


def _create(logical, properties, stack):
    wanted = only(properties, "Url", "ThumbprintList")
    wanted["ClientIDList"] = properties.get("ClientIdList", [])
    arn = client("iam").create_open_id_connect_provider(**wanted)["OpenIDConnectProviderArn"]
    return arn, {"Arn": arn}


def _delete(arn, properties):
    client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def _bound(name, properties, known):
    """Stacks of ministack make roles without one."""
    if "PermissionsBoundary" in properties:
        boundary = properties["PermissionsBoundary"]
        client("iam").put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    return {}
