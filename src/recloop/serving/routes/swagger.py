"""Swagger UI page of the OpenAPI document.

The page loads its files from this service only, which its Content-Security-Policy enforces.
"""

import base64
import hashlib
import re

from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def docs_page() -> HTMLResponse:
    """Return the page with its Content-Security-Policy header."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="recloop API",
        swagger_js_url="/static_content/swagger-ui-bundle.js",
        swagger_css_url="/static_content/swagger-ui.css",
        swagger_favicon_url="/static_content/favicon-light-32x32.png",
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(html: str) -> str:
    """Return the Content-Security-Policy of a page.

    It allows the page's inline script by its hash, and inline styles and `data:` images, which
    Swagger UI uses.
    """
    scripts = " ".join(f"'{_hash(script)}'" for script in _INLINE.findall(html))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
