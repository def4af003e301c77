"""Headers of the records that the scorer writes."""

from rapport.contracts import codec
from rapport.contracts.rows import EPOCH, EPOCH_HEADER
from services.scorer.fenced.batch import Headers

EPOCH_HEADERS: Headers = ((EPOCH_HEADER, str(EPOCH).encode()),)
ROW_HEADERS: Headers = (*codec.headers("rapport.row.v1", id="row", source="/rapport/scorer"), *EPOCH_HEADERS)
