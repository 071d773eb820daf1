"""The identity provider that lets a pipeline take a role without a key."""

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only


def install():
    stacks.add("AWS::IAM::OIDCProvider", _create, _delete)


def _create(logical, properties, stack):
    wanted = only(properties, "Url", "ThumbprintList")
    wanted["ClientIDList"] = properties.get("ClientIdList", [])
    arn = client("iam").create_open_id_connect_provider(**wanted)["OpenIDConnectProviderArn"]
    return arn, {"Arn": arn}


def _delete(arn, properties):
    client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
