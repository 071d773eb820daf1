"""Secrets of a stack: `Ref` is the ARN, as in AWS, and what is generated has the characters that were asked for."""

import json

from ministack.services import secretsmanager
from ministack.services.cloudformation import drift, provisioners

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only


def install():
    former = stacks.handlers("AWS::SecretsManager::Secret")

    def create(logical, properties, stack):
        return _by_arn(former["create"](logical, properties, stack))

    def update(arn, old, new, stack):
        return _by_arn(former["update"](_name(arn), old, new, stack, None))

    def delete(arn, properties):
        former["delete"](_name(arn), properties)

    stacks.replace("AWS::SecretsManager::Secret", create, update, delete)
    provisioners._sm_secret_string = _text
    read, properties = drift._DRIFT_READERS["AWS::SecretsManager::Secret"]
    drift._DRIFT_READERS["AWS::SecretsManager::Secret"] = (_compared(read), properties)
    secretsmanager._put_secret_value = _labelled(secretsmanager._put_secret_value)


def _labelled(former):
    """A version that becomes the current one takes its other labels with it."""

    def put(data):
        answer = former(data)
        stages = data.get("VersionStages", [])
        if "AWSCURRENT" in stages:
            versions = secretsmanager._secrets[_by_id(data["SecretId"])]["Versions"].values()
            for label in set(stages) - {"AWSCURRENT"}:
                for version in versions:
                    is_current = "AWSCURRENT" in version["Stages"]
                    others = [stage for stage in version["Stages"] if stage != label]
                    version["Stages"] = [*others, label] if is_current else others
        return answer

    return put


def _compared(former):
    """A secret that was deleted has no name any more."""

    def read(arn, properties):
        there = [secret["ARN"] for secret in secretsmanager._secrets.values()]
        return former(_name(arn), properties) if arn in there else None

    return read


def _by_id(identifier):
    return _name(identifier) if identifier.startswith("arn:") else identifier


def _by_arn(made):
    _, attributes = made
    return attributes["Id"], attributes


def _name(arn):
    return next(name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == arn)


def _text(properties):
    wanted = properties.get("GenerateSecretString")
    if wanted is None:
        return properties.get("SecretString", "")
    rules = only(
        wanted,
        "PasswordLength",
        "ExcludeCharacters",
        "ExcludeNumbers",
        "ExcludePunctuation",
        "ExcludeUppercase",
        "ExcludeLowercase",
        "IncludeSpace",
        "RequireEachIncludedType",
    )
    made = client("secretsmanager").get_random_password(**rules)["RandomPassword"]
    if "SecretStringTemplate" not in wanted:
        return made
    return json.dumps({**json.loads(wanted["SecretStringTemplate"]), wanted["GenerateStringKey"]: made})
