"""Calls of the emulator's own services from within it.

botocore writes the request and checks it against the model of the service, the emulator's handler
answers it, and no socket lies between: stacks are made on the event loop that would have to accept it.
"""

import asyncio
import concurrent.futures
import contextvars
import functools
import urllib.parse

import botocore.awsrequest
import botocore.session
from ministack import app
from ministack.core.responses import get_account_id, get_region

_SESSION = botocore.session.Session()


class _Body:
    def __init__(self, content):
        self._content = content

    def stream(self, *_, **__):
        yield self._content


def client(service):
    """A client of `service` for the account and region of the request that is being answered."""
    return _client(service, get_region(), get_account_id())


@functools.cache
def _client(service, region, account):
    made = _SESSION.create_client(
        service,
        region_name=region,
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id=account,
        aws_secret_access_key="inside",
    )
    made.meta.events.register("before-send", functools.partial(_answer, service))
    return made


def _answer(service, request, **_):
    address = urllib.parse.urlsplit(request.url)
    body = request.body or b""
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    body = body.encode() if isinstance(body, str) else body
    asked = (request.method, address.path, headers, body, urllib.parse.parse_qs(address.query))
    status, headers, content = _ask(app.SERVICE_NAME_ALIASES.get(service, service), asked)
    content = content if isinstance(content, bytes) else content.encode()
    return botocore.awsrequest.AWSResponse(request.url, status, headers, _Body(content))


def _ask(service, asked):
    """Lets the handler wait as it likes, on a loop of its own: ours is held by whoever makes the stack."""
    answer = app.SERVICE_HANDLERS[service](*asked)
    here = contextvars.copy_context()
    with concurrent.futures.ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(here.run, asyncio.run, answer).result()


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def camel(value, free=()):
    """Properties as CloudFormation spells them (`MaxSize`) in the spelling of ECS and its like (`maxSize`).

    What lies under a name in `free` is a map of the user's own words.
    """
    if isinstance(value, list):
        return [camel(item, free) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name[:1].lower() + name[1:]: inner if name in free else camel(inner, free)
        for name, inner in value.items()
    }


def only(properties, *names):
    """Those of `names` that are there."""
    return {name: properties[name] for name in names if name in properties}


def tagged(properties, kind):
    """The tags as EC2 wants them when it makes a resource of a `kind`."""
    if not properties.get("Tags"):
        return {}
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": properties["Tags"]}]}
