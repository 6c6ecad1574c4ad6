"""The OpenAPI page: Swagger UI from this service's own files, under a policy that lets nothing else in."""

import base64
import hashlib
import re

from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def docs_page() -> HTMLResponse:
    """The page, with the policy of content that belongs to it."""
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
    """The page's own inline script is named by its hash; Swagger UI writes styles and data: images."""
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
