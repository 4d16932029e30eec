//! A client for the API server; its requests are counted.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service};

use crate::metrics::{CounterFamily, HistogramFamily, Registry};

/// Default bounds of Prometheus clients, seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10.];

/// How to reach the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// From inside the cluster, with the pod's ServiceAccount.
    InCluster,
    /// As a kubeconfig file says.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The context, if not the current one.
        context: Option<String>,
    },
    /// A URL, with or without a client certificate.
    Endpoint {
        /// The URL.
        url: String,
        /// Client certificate, its key, and the CA of the server.
        tls: Option<[PathBuf; 3]>,
    },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig does not do.
    #[error("{file}: {error}")]
    Kubeconfig {
        /// The file.
        file: String,
        /// What is wrong with it.
        error: Box<kube::config::KubeconfigError>,
    },
    /// Not in a cluster, it seems.
    #[error("cannot read the pod's ServiceAccount: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// The URL is none.
    #[error("`{0}` is no URL of an API server")]
    Url(String),
    /// A certificate cannot be used, most likely.
    #[error("cannot make a client for the API server: {0}")]
    Client(#[from] Box<kube::Error>),
}

/// Whether the API server is heard: lost when a watch fails, found when a request succeeds.
#[derive(Debug, Default)]
pub struct Contact {
    lost: AtomicBool,
}

impl Contact {
    /// Whether nothing has failed since the last success.
    pub fn is_there(&self) -> bool {
        !self.lost.load(Ordering::Acquire)
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    fn find(&self) {
        self.lost.store(false, Ordering::Release);
    }
}

/// A client for the API server. Requests are counted, and bounded in number if `max_inflight` is not 0. `contact` hears
/// of those that succeed.
///
/// # Errors
/// Something on disk is missing or wrong. Nothing is asked of the server yet.
pub async fn connect(
    access: &Access,
    max_inflight: usize,
    registry: &Registry,
    contact: Option<Arc<Contact>>,
) -> Result<Client, ClientError> {
    let mut config = config(access).await?;
    // The watch gives up a dead connection by its own clock; a read may be silent for minutes.
    config.read_timeout = None;
    let agent = http::HeaderValue::from_static(concat!("seamark/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    let host = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
    let layer = Measuring(Arc::new(Measures::register(registry, host, max_inflight, contact)));
    let builder = ClientBuilder::try_from(config).map_err(Box::new)?;
    Ok(builder.with_layer(&layer).build())
}

async fn config(access: &Access) -> Result<Config, ClientError> {
    match access {
        Access::InCluster => Ok(Config::incluster()?),
        Access::Kubeconfig { file, context } => {
            let problem = |error| ClientError::Kubeconfig { file: file.display().to_string(), error: Box::new(error) };
            let kubeconfig = Kubeconfig::read_from(file).map_err(problem)?;
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(problem)
        }
        Access::Endpoint { url, tls } => {
            let with_scheme = if url.contains("://") { url.clone() } else { format!("http://{url}") };
            let mut config = Config::new(with_scheme.parse().map_err(|_| ClientError::Url(url.clone()))?);
            if let Some([certificate, key, authority]) = tls {
                config.root_cert_file = Some(authority.clone());
                config.auth_info = AuthInfo {
                    client_certificate: Some(certificate.display().to_string()),
                    client_key: Some(key.display().to_string()),
                    ..AuthInfo::default()
                };
            }
            Ok(config)
        }
    }
}

struct Measures {
    requests: CounterFamily,
    duration: HistogramFamily,
    waited: HistogramFamily,
    places: Option<Arc<Semaphore>>,
    /// Host and port of the API server.
    host: String,
    contact: Option<Arc<Contact>>,
}

impl Measures {
    fn register(registry: &Registry, host: String, max_inflight: usize, contact: Option<Arc<Contact>>) -> Self {
        Self {
            requests: registry.counter(
                "coredns_kubernetes_rest_client_requests_total",
                "Requests to the API server by code, method and host.",
                &["code", "method", "host"],
            ),
            duration: registry.histogram(
                "coredns_kubernetes_rest_client_request_duration_seconds",
                "Seconds until the API server's response began, by verb and host.",
                &["verb", "host"],
                &BUCKETS,
            ),
            waited: registry.histogram(
                "coredns_kubernetes_rest_client_rate_limiter_duration_seconds",
                "Seconds that requests to the API server waited for their turn, by verb and host.",
                &["verb", "host"],
                &BUCKETS,
            ),
            host,
            contact,
            places: (max_inflight > 0).then(|| Arc::new(Semaphore::new(max_inflight))),
        }
    }
}

/// Puts measuring around a client.
#[derive(Clone)]
struct Measuring(Arc<Measures>);

impl<S> Layer<S> for Measuring {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, measures: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Measured<S> {
    inner: S,
    measures: Arc<Measures>,
}

impl<S, B> Service<http::Request<Body>> for Measured<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
{
    type Response = http::Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let measures = Arc::clone(&self.measures);
        let method = request.method().as_str().to_owned();
        let response = self.inner.call(request);
        Box::pin(async move {
            let host = &measures.host;
            let start = Instant::now();
            let place = match &measures.places {
                Some(places) => Some(Arc::clone(places).acquire_owned().await?),
                None => None,
            };
            measures.waited.with_label_values(&[&method, host]).observe(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let response = response.await.map_err(Into::into);
            drop(place);
            measures.duration.with_label_values(&[&method, host]).observe(start.elapsed().as_secs_f64());
            let code = match &response {
                Ok(response) => response.status().as_u16().to_string(),
                Err(_) => "<error>".to_owned(),
            };
            if let (Some(contact), Ok(response)) = (&measures.contact, &response)
                && response.status().is_success()
            {
                contact.find();
            }
            measures.requests.with_label_values(&[&code, &method, host]).inc();
            response
        })
    }
}
