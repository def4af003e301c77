"""`/v1/platforms/<platform>`: where platforms push to. Answered 200 only after the broker has what a delivery says."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from rapport.contracts.events import Account, Interaction
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.health import Health
from rapport.kit.http.asgi import Bodies, FullError, GoneError, TooLargeError
from rapport.kit.http.problems import ProblemError
from rapport.kit.work import BusyError, Pool
from services.ingest import metrics
from services.ingest.broker import Broker
from services.ingest.connectors.intake import Intake
from services.ingest.directory import NOT_READ, Directory
from services.ingest.door import READ_AT_ONCE, too_large, unavailable
from services.ingest.hooks.delivery import Delivery, Lookup, UnreadableError, Watched, bare_handle
from services.ingest.hooks.hook import Hook, UnsignedError
from services.ingest.hooks.recent import Recent


class Hooks:
    """Takes deliveries of every platform that pushes and is set up here."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        directory: Directory,
        broker: Broker,
        health: Health,
        now: Callable[[], datetime],
        log: logging.Logger,
        placed: Callable[[Interaction], Interaction] = lambda one: one,
    ) -> None:
        """`hooks` by platform. `placed` puts an interaction into the conversation in which asking finds it."""
        self._hooks = hooks
        self._directory = directory
        self._broker = broker
        self._health = health
        self._now = now
        self._log = log
        self._placed = placed
        self._bodies = Bodies()
        self._pool = Pool("hooks")
        self._recent = Recent()
        self._intakes = {
            (platform, again): Intake(platform, "webhook", broker, log, repairs=again)
            for platform in hooks
            for again in (False, True)
        }
        self._indexed: object = None
        self._watched: dict[tuple[str, str], list[Watched]] = {}

    async def get(self, request: Request) -> Response:
        """Answers the platform's challenge."""
        try:
            answer = self._hook(request).challenge(request.query_params)
        except UnsignedError as error:
            return _unsigned(error).response()
        except ProblemError as problem:
            return problem.response()
        return Response(answer.body, media_type=answer.media_type)

    async def post(self, request: Request) -> Response:
        """200 once the broker has everything; a problem document for everything else, so that it is sent again."""
        try:
            hook = self._hook(request)
            delivery = await self._received(hook, request)
        except ProblemError as problem:
            if problem.status >= 500:
                self._broker.missed()  # a platform may not send it again unless it is asked to
            metrics.DELIVERIES.labels(request.path_params["platform"], problem.slug).inc()
            return problem.response()
        metrics.DELIVERIES.labels(hook.platform, "accepted").inc()
        for where, why in delivery.problems:
            self._log.error("%s webhook: %s is skipped: %s", hook.platform, where, why)
        if delivery.unread:
            metrics.REJECTED.labels(hook.platform, "change").inc(delivery.unread)
        return Response(b"ok", media_type="text/plain")

    def _hook(self, request: Request) -> Hook:
        platform = request.path_params["platform"]
        hook = self._hooks.get(platform)
        if hook is None:
            request.path_params["platform"] = "unknown"  # it is the name of a metric's label
            detail = f"{platform!r} is not set up here; these are: {', '.join(sorted(self._hooks)) or 'none'}"
            raise ProblemError(404, "not-found", detail, title="No such platform")
        return hook

    async def _received(self, hook: Hook, request: Request) -> Delivery:
        try:
            async with self._bodies.whole(request.scope, request.receive, hook.largest_body) as body:
                return await self._take(hook, request, body)
        except TooLargeError as error:
            raise too_large(hook.largest_body, hang_up=error.hang_up) from None
        except FullError:
            raise unavailable("too much is being sent at once; nothing was taken") from None
        except GoneError:
            raise ProblemError(400, "gone", "the body never ended; nothing was taken", title="Gone") from None

    async def _take(self, hook: Hook, request: Request, body: bytes) -> Delivery:
        try:
            hook.check(request.headers, body, self._now())
        except UnsignedError as error:
            raise _unsigned(error) from None
        if NOT_READ in self._health.reasons():
            raise unavailable("the accounts are not read from Kafka yet")
        lookup = self._lookup(hook)
        try:
            if len(body) <= READ_AT_ONCE:
                delivery = hook.read(body, lookup, self._now())
            else:
                delivery = await self._pool.run(hook.platform, hook.read, body, lookup, self._now())
        except BusyError:
            raise unavailable("too many deliveries of this platform are waiting; nothing was taken") from None
        except UnreadableError as error:
            self._log.error("%s webhook: a delivery cannot be read: %s", hook.platform, error)
            raise ProblemError(400, "unreadable", f"{error}; nothing was taken", title="Not a delivery") from None
        fresh = self._recent.fresh(map(self._placed, delivery.interactions))
        try:
            await self._intakes[hook.platform, delivery.again].append(fresh, delivery.away, delivery.charges)
        except NotAcknowledgedError as error:
            raise unavailable(f"Kafka has not confirmed: {error}; send it again, the same ids count once") from None
        self._recent.keep(fresh)
        return delivery

    def _lookup(self, hook: Hook) -> Lookup:
        accounts = self._directory.accounts()
        if accounts is not self._indexed:  # it is replaced as a whole when something changed
            self._watched = indexed(accounts, self._hooks)
            self._indexed = accounts
        watched, platform = self._watched, hook.platform
        return lambda its_id: watched.get((platform, its_id), ())


def indexed(
    accounts: MappingProxyType[str, tuple[str, Account]], hooks: Mapping[str, Hook]
) -> dict[tuple[str, str], list[Watched]]:
    """The accounts of platforms that push, by platform and the platform's id."""
    ids: dict[tuple[str, str], set[str]] = {}
    handles: dict[tuple[str, str], set[str]] = {}
    found: list[tuple[str, Account, str]] = []
    for brand, account in accounts.values():
        handles.setdefault((brand, account.platform), set()).add(bare_handle(account.handle))
        hook = hooks.get(account.platform)
        id = account.connection.get(hook.id_field, "").strip() if hook is not None else ""  # noqa: A001
        if hook is not None and id:
            names = [id, *(account.connection.get(each, "").strip() for each in hook.also_named)]
            ids.setdefault((brand, account.platform), set()).update(filter(None, names))
            found.append((brand, account, id))
    index: dict[tuple[str, str], list[Watched]] = {}
    for brand, account, id in found:  # noqa: A001
        its = brand, account.platform
        watched = Watched(brand, account, id, frozenset(ids[its]), frozenset(handles[its]))
        index.setdefault((account.platform, id), []).append(watched)
    return index


def _unsigned(error: UnsignedError) -> ProblemError:
    return ProblemError(401, "unauthorized", f"{error}; nothing was taken", title="Not signed by the platform")
