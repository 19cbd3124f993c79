"""The playground's files: a page and a script of ours, and Swagger UI as published, at one version.

`swagger-ui-*` is the package `swagger-ui-dist` of npm, of which only what the page needs is kept, unchanged. To raise
it: `npm pack swagger-ui-dist@VERSION`, copy the files, and write the version and the digests down here.
"""

from pathlib import Path

__all__ = ["FILES", "PAGE", "VENDORED", "VENDORED_VERSION", "path"]

_FOLDER = Path(__file__).parent

#: The page itself.
PAGE = _FOLDER / "page.html"

#: Name of a file beside the page -> its content type.
FILES: dict[str, str] = {
    "playground.js": "text/javascript",
    "playground.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui.LICENSE.txt": "text/plain",
    "swagger-ui.NOTICE.txt": "text/plain",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
}

VENDORED_VERSION = "5.35.0"
#: Name of a vendored file -> SHA-256.
VENDORED: dict[str, str] = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb",
    "swagger-ui.LICENSE.txt": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "swagger-ui.NOTICE.txt": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


def path(name: str) -> Path:
    """Where one of `FILES` is."""
    return _FOLDER / name
