"""Addresses, NAT gateways, flow logs and rules of security groups, which EC2 of ministack has and its stacks lack."""

import uuid

from taskhub_emulator import stacks
from taskhub_emulator.inside import client, only, tagged


def install():
    stacks.complete("AWS::EC2::VPC", lambda identifier, properties, known: only(properties, "CidrBlock"))
    stacks.add("AWS::EC2::EIP", _allocate, _release)
    stacks.add("AWS::EC2::NatGateway", _make_gateway, _delete_gateway)
    stacks.add("AWS::EC2::FlowLog", _make_flow_log, _delete_flow_log)
    for direction, peer in (("Ingress", "SourceSecurityGroupId"), ("Egress", "DestinationSecurityGroupId")):
        stacks.add(f"AWS::EC2::SecurityGroup{direction}", *_rule(direction.lower(), peer))


def _allocate(logical, properties, stack):
    made = client("ec2").allocate_address(Domain="vpc", **tagged(properties, "elastic-ip"))
    return made["PublicIp"], only(made, "AllocationId", "PublicIp")


def _release(address, properties):
    for known in client("ec2").describe_addresses()["Addresses"]:
        if known["PublicIp"] == address:
            client("ec2").release_address(AllocationId=known["AllocationId"])


def _make_gateway(logical, properties, stack):
    wanted = only(properties, "SubnetId", "AllocationId", "ConnectivityType")
    made = client("ec2").create_nat_gateway(**wanted, **tagged(properties, "natgateway"))
    identifier = made["NatGateway"]["NatGatewayId"]
    return identifier, {"NatGatewayId": identifier}


def _delete_gateway(identifier, properties):
    client("ec2").delete_nat_gateway(NatGatewayId=identifier)


def _make_flow_log(logical, properties, stack):
    wanted = only(
        properties,
        "ResourceType",
        "TrafficType",
        "LogDestinationType",
        "LogDestination",
        "LogGroupName",
        "DeliverLogsPermissionArn",
        "MaxAggregationInterval",
        "LogFormat",
    )
    made = client("ec2").create_flow_logs(ResourceIds=[properties["ResourceId"]], **wanted)
    identifier = made["FlowLogIds"][0]
    return identifier, {"Id": identifier}


def _delete_flow_log(identifier, properties):
    client("ec2").delete_flow_logs(FlowLogIds=[identifier])


def _rule(direction, peer):
    """A rule of its own, so that two groups can name each other."""

    def create(logical, properties, stack):
        authorize = getattr(client("ec2"), f"authorize_security_group_{direction}")
        authorize(GroupId=properties["GroupId"], IpPermissions=[_permission(properties, peer)])
        identifier = f"sgr-{uuid.uuid4().hex[:17]}"
        return identifier, {"Id": identifier}

    def delete(identifier, properties):
        revoke = getattr(client("ec2"), f"revoke_security_group_{direction}")
        revoke(GroupId=properties["GroupId"], IpPermissions=[_permission(properties, peer)])

    return create, delete


def _permission(properties, peer):
    described = only(properties, "Description")
    permission = {"IpProtocol": str(properties["IpProtocol"])}
    for port in ("FromPort", "ToPort"):
        if port in properties:
            permission[port] = int(properties[port])
    if peer in properties:
        permission["UserIdGroupPairs"] = [{"GroupId": properties[peer], **described}]
    if "CidrIp" in properties:
        permission["IpRanges"] = [{"CidrIp": properties["CidrIp"], **described}]
    for name, key in (("SourcePrefixListId", "PrefixListIds"), ("DestinationPrefixListId", "PrefixListIds")):
        if name in properties:
            permission[key] = [{"PrefixListId": properties[name], **described}]
    return permission
