"""Requests as clients of earlier ages send them."""

from typing import Any

from ingot.http.ages import UNDERSCORES
from tests.http.client import DELETE, GET, INSERT, SEARCH, STATUS

#: A path of today -> its spelling with underscores.
UNDERSCORED = {today: older for older, today in UNDERSCORES.items()}

UPLOAD = "/upload/upload_embeddings"
UPDATE = "/upload/update_embeddings"
VERIFY = "/upload/verify_processing"
FIRST_SEARCH = "/embeddings/search"
RETRIEVE = "/embeddings/retrieve_by_ids"
FIRST_DELETE = "/embeddings/delete"
CREATE = "/embeddings/create_tenant"
FIRST_STATS = "/tenant/stats"
SUB_TENANTS = "/tenant/sub_tenant_ids"

ROWS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]

#: A request to each path, which a tenant with a source `a` answers with 200: its method and its fields.
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    UNDERSCORED[INSERT]: ("POST", {"embeddings": ROWS, "file_id": "b"}),
    UNDERSCORED[SEARCH]: ("POST", {"query_embedding": [1, 0]}),
    UNDERSCORED[GET]: ("POST", {"source_id": "a"}),
    UNDERSCORED[DELETE]: ("POST", {"source_id": "z"}),
    UNDERSCORED[STATUS]: ("POST", {"file_id": "a"}),
    UPLOAD: ("POST", {"embeddings": ROWS, "file_id": "c"}),
    UPDATE: ("PATCH", {"embeddings": {"a_0": [2, 2]}}),
    VERIFY: ("POST", {"file_id": "a"}),
    FIRST_SEARCH: ("POST", {"embeddings": [1, 0]}),
    RETRIEVE: ("POST", {"chunk_ids": ["a_0"]}),
    FIRST_DELETE: ("DELETE", {"chunk_ids": ["z"]}),
    CREATE: ("POST", {}),
    FIRST_STATS: ("GET", {}),
    SUB_TENANTS: ("GET", {}),
}
