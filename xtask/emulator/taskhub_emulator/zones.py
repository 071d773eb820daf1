"""Zones of names with the ids that templates name: in AWS the zone is there before the stacks are.

`aws route53 create-hosted-zone --name NAME --caller-reference Z0EXAMPLE` makes one whose id is `Z0EXAMPLE`.
"""

from ministack.services import route53


def install():
    create, any_id = route53._create_hosted_zone, route53._zone_id

    def create_hosted_zone(body, query):
        wanted = route53._text(route53._parse_body(body), "CallerReference")
        route53._zone_id = (lambda: wanted) if wanted.startswith("Z") else any_id
        return create(body, query)

    route53._create_hosted_zone = create_hosted_zone
