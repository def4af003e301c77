"""Alerts with their deliveries."""

from collections.abc import Sequence

from services.api.alerts.documents import AlertDocument, DeliveryDocument
from services.api.alerts.repository import Alerts
from services.api.alerts.schemas import Alert, AlertMoment, AlertsQuery, Delivery
from services.api.followers.schemas import FollowerName
from services.api.http import paging
from services.api.http.ids import follower_ref
from services.api.http.schemas import Page
from services.api.storage.tenants import Database, Tenants


def delivery_shown(document: DeliveryDocument) -> Delivery:
    """One channel's delivery of an alert."""
    return Delivery.model_validate({name: document.get(name) for name in Delivery.model_fields})


def alert_shown(document: AlertDocument, deliveries: Sequence[DeliveryDocument]) -> Alert:
    """An alert with its deliveries."""
    who = document["follower"]
    return Alert(
        id=document["_id"],
        brand=document["brand"],
        exchange=document["exchange"],
        platform=document["platform"],
        follower=FollowerName(
            id=follower_ref(document["platform"], who["id"]),
            platform_id=who["id"],
            handle=who.get("handle"),
            name=who.get("name"),
        ),
        step=document["step"],
        due_at=document["due_at"],
        created_at=document["created_at"],
        unconfirmed=document["unconfirmed"],
        deliveries=[delivery_shown(each) for each in deliveries],
    )


def alert_moment(document: AlertDocument, deliveries: Sequence[DeliveryDocument]) -> AlertMoment:
    """An alert in a history."""
    return AlertMoment(
        at=document["created_at"],
        id=document["_id"],
        step=document["step"],
        unconfirmed=document["unconfirmed"],
        deliveries=[delivery_shown(each) for each in deliveries],
    )


async def page_of_alerts(database: Database, tenants: Tenants, query: AlertsQuery) -> Page[Alert]:
    """Alerts with their deliveries, the latest first. Raises ProblemError (422) for a wrong cursor."""
    after = paging.position("alerts", query.cursor)
    repository = Alerts(database, tenants)
    found = await repository.page(query.step, query.exchange, after, paging.rows_to_read(query.limit))
    shown, following = paging.page(
        found, query.limit, lambda row: paging.cursor_after("alerts", row["created_at"], row["_id"])
    )
    deliveries = await repository.deliveries(each["_id"] for each in shown)
    return Page(items=[alert_shown(each, deliveries.get(each["_id"], [])) for each in shown], next=following)
