"""The dashboards, from the agency's view down to the processes."""

from deploy.grafana.boards import agency, answering, api, brand, ingest, notifier, projector, scorer, servers

BOARDS = (
    agency.board,
    brand.board,
    answering.board,
    ingest.board,
    scorer.board,
    notifier.board,
    projector.board,
    api.board,
    servers.board,
)
