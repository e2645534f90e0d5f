//! The description of the API, and the page that shows it. Everything comes from this program: the page works
//! without the internet.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::LazyLock;

use crate::openapi;
use crate::problem::Problem;
use crate::service::Shared;

/// Scripts and styles of this service alone; the page can be framed by nobody.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Assets carry their version in the query: they never change under one address.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| openapi::json().into());

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(async || redirect("docs")))
        .route("/docs", get(page))
        .route("/docs/", get(async || redirect("../docs")))
        .route("/docs/{file}", get(asset))
        .route("/openapi.json", get(description))
}

/// A redirect that holds beneath any path that a proxy puts in front.
fn redirect(to: &'static str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
}

async fn description() -> Response {
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        DESCRIPTION.clone(),
    )
        .into_response()
}

async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, include_str!("../assets/docs.html")).into_response()
}

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    /// Kept compressed where that is worth it. Every client that shows the page can read gzip.
    gzip: bool,
    content: &'static [u8],
}

static ASSETS: [Asset; 5] = [
    Asset {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: true,
        content: include_bytes!("../assets/swagger-ui-bundle.js.gz"),
    },
    Asset {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        gzip: true,
        content: include_bytes!("../assets/swagger-ui.css.gz"),
    },
    Asset {
        name: "docs.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: false,
        content: include_bytes!("../assets/docs.js"),
    },
    Asset {
        name: "docs.css",
        media_type: "text/css; charset=utf-8",
        gzip: false,
        content: include_bytes!("../assets/docs.css"),
    },
    Asset {
        name: "favicon.png",
        media_type: "image/png",
        gzip: false,
        content: include_bytes!("../assets/favicon.png"),
    },
];

async fn asset(Path(file): Path<String>) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == file);
    let asset = asset.ok_or_else(|| Problem::no_such_path(&format!("/docs/{file}")))?;
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, IMMUTABLE),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let encoding = asset.gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
    let content = Bytes::from_static(asset.content);
    Ok(match encoding {
        Some(encoding) => (headers, encoding, content).into_response(),
        None => (headers, content).into_response(),
    })
}
