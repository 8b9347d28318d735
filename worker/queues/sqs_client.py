"""The client of SQS: opened by the usual AWS chain, and its errors put into words."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # it has no types, nor has botocore
from aiobotocore.session import get_session  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as UnconnectedError,
)

from closeout.worker.queues.address import Address
from closeout.worker.support.errors import ConfigurationError, QueueError, QueueUnreachableError

for _driver in ("aiobotocore", "botocore"):
    logging.getLogger(_driver).addHandler(logging.NullHandler())

LONGEST_POLL = 20  # seconds: the longest that SQS has
_CONNECT, _ANSWER = 5, LONGEST_POLL + 10  # seconds
_CONNECTIONS = 32
_MISSING = {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"}
_REFUSED = {
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
    "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity", "OptInRequired", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}  # fmt: skip
_LATER = {
    "InternalError", "InternalFailure", "KmsThrottled", "OverLimit", "RequestLimitExceeded", "RequestThrottled",
    "ServiceUnavailable", "Throttling", "ThrottlingException",
}  # fmt: skip


@asynccontextmanager
async def sqs_client(address: Address) -> AsyncIterator[Any]:  # the client's methods are made at run time
    """A client for the queue's region. Raises QueueError and ConfigurationError."""
    endpoint = address.options.get("endpoint")
    if endpoint is not None and not _is_endpoint(endpoint):
        raise ConfigurationError(f"{address.scheme}://: invalid endpoint: use an address like https://sqs.example.com")
    config = AioConfig(
        connect_timeout=_CONNECT,
        read_timeout=_ANSWER,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=_CONNECTIONS,
    )
    opening = get_session().create_client("sqs", region_name=address.host or None, endpoint_url=endpoint, config=config)
    try:
        client = await opening.__aenter__()
    except BotoCoreError as error:
        raise in_words(error, address) from None
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None


@asynccontextmanager
async def told(address: Address) -> AsyncIterator[None]:
    """Errors within leave in our words."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise in_words(error, address) from error


def in_words(error: Exception, address: Address) -> QueueError:
    """What an error of the client means to a person; of an answer only its code is told."""
    name = address.name
    match error:
        case ClientError():
            return _answered(error, name)
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError() | ProfileNotFound():
            return QueueError(f"{name}: no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and so on")
        case NoRegionError():
            return QueueError(f"{name}: name the region, as in sqs://eu-central-1/NAME, or set AWS_REGION")
        case HTTPClientError() | UnconnectedError():
            return QueueUnreachableError(f"{name}: SQS cannot be reached, or the connection was lost")
    return QueueError(f"{name}: {type(error).__name__}: look at the AWS settings")


def _answered(error: ClientError, name: str) -> QueueError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _MISSING:
        return QueueError(f"{name}: there is no such queue, and none is made: name the region and the account it is in")
    if code in _REFUSED:
        return QueueError(f"{name}: AWS refused the credentials, or they lack a permission ({code})")
    if code in _LATER or status >= 500:  # the server's fault
        return QueueUnreachableError(f"{name}: SQS takes no requests now ({code})")
    return QueueError(f"{name}: SQS refused the request ({code})")


def code_of(error: ClientError) -> str:
    """The code of an answer that is an error."""
    return str(error.response.get("Error", {}).get("Code", "unknown")).rpartition("#")[2]


def is_missing(error: ClientError) -> bool:
    return code_of(error) in _MISSING
