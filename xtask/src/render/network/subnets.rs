//! Three tiers: what the world reaches, what runs, and what keeps data.

use serde_json::json;

use super::name_tag;
use crate::{
    environments::Environment,
    render::template::{Intrinsic, Template, attribute, reference},
};

/// Which subnets, in the order of their address blocks.
pub(super) const TIERS: [&str; 3] = ["Public", "Private", "Data"];

pub(super) fn add(template: &mut Template, environment: &Environment) {
    for zone in 1..=environment.network.zones {
        for (tier, name) in TIERS.iter().enumerate() {
            subnet(template, environment, zone, tier, name);
        }
    }
    public_routes(template, environment);
}

fn subnet(template: &mut Template, environment: &Environment, zone: u32, tier: usize, name: &str) {
    // Room for a fourth zone, so that adding one moves no subnet.
    let index = tier * 4 + zone as usize - 1;
    // A /20 each: 12 bits of addresses.
    let blocks = json!({"Fn::Cidr": [attribute("Vpc", "CidrBlock"), TIERS.len() * 4, "12"]});
    let id = format!("{name}Subnet{zone}");
    template.add(
        &id,
        "AWS::EC2::Subnet",
        json!({
            "VpcId": reference("Vpc"),
            "CidrBlock": Intrinsic::Select(index, Box::new(blocks)),
            "AvailabilityZone": Intrinsic::Select(zone as usize - 1, Box::new(json!(Intrinsic::Zones))),
            // The load balancer gets its addresses without it.
            "MapPublicIpOnLaunch": false,
            "Tags": name_tag(environment, &format!("{}-{zone}", name.to_lowercase())),
        }),
    );
    let table = match name {
        "Public" => "PublicRoutes".to_owned(),
        "Data" => "DataRoutes".to_owned(),
        _ => {
            let table = format!("PrivateRoutes{zone}");
            route_table(template, environment, &table, &format!("private-{zone}"));
            table
        }
    };
    template.add(
        format!("{id}Routes"),
        "AWS::EC2::SubnetRouteTableAssociation",
        json!({"SubnetId": reference(&id), "RouteTableId": reference(table)}),
    );
}

fn route_table(template: &mut Template, environment: &Environment, id: &str, name: &str) {
    template.add(
        id,
        "AWS::EC2::RouteTable",
        json!({"VpcId": reference("Vpc"), "Tags": name_tag(environment, name)}),
    );
}

/// Only the load balancer's subnets have a way in. Those of the data have no way at all.
fn public_routes(template: &mut Template, environment: &Environment) {
    route_table(template, environment, "PublicRoutes", "public");
    route_table(template, environment, "DataRoutes", "data");
    template
        .add(
            "PublicDefaultRoute",
            "AWS::EC2::Route",
            json!({
                "RouteTableId": reference("PublicRoutes"),
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": reference("InternetGateway"),
            }),
        )
        .after("InternetGatewayAttachment");
}
