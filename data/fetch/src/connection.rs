//! Connections to servers, direct or through a proxy of the environment.
//!
//! Each request chooses its proxy, because a redirect may lead to another scheme or host. A request for an `http://` address
//! gives the proxy the whole address, as other programs do: many proxies allow tunnels (`CONNECT`) to port 443 only.

use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Agent, Error, Proxy};

use crate::FetchOptions;
use crate::absolute_form::AbsoluteForm;
use crate::failure::{LookupFailure, ProxyFailure};
use crate::proxies::{NamedProxy, Proxies};

/// An agent that uses the proxies of the environment.
pub(super) fn agent(options: &FetchOptions, proxies: Arc<Proxies>) -> Agent {
    let route = Route { proxies: proxies.clone(), options: options.clone(), system: Arc::new(DefaultConnector::new()) };
    Agent::with_parts(config(options, None), route, Names { proxies })
}

fn config(options: &FetchOptions, proxy: Option<Proxy>) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("qare/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_recv_response(Some(options.read_timeout))
        .timeout_per_read(Some(options.read_timeout))
        .proxy(proxy)
        .build()
}

/// The proxy of an address.
fn proxy_of(proxies: &Proxies, uri: &Uri) -> Result<Option<NamedProxy>, Error> {
    proxies.of(uri).map_err(|bad| ProxyFailure::bad(bad).into())
}

/// Connects to servers and proxies.
#[derive(Debug)]
struct Route {
    proxies: Arc<Proxies>,
    options: FetchOptions,
    system: Arc<DefaultConnector>,
}

impl Connector<()> for Route {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        match proxy_of(&self.proxies, details.uri)? {
            None => self.system.connect(details, None),
            Some(proxy) if !details.needs_tls() && proxy.understands_http() => self.ask(&proxy, details).map(Some),
            Some(proxy) => self.tunnel(&proxy, details),
        }
    }
}

impl Route {
    /// A connection to a proxy, with requests for whole addresses.
    fn ask(&self, proxy: &NamedProxy, details: &ConnectionDetails) -> Result<Box<dyn Transport>, Error> {
        let uri = proxy.proxy.uri();
        let failed = |error| Error::from(ProxyFailure::unreachable(proxy, error));
        let addrs = lookup(uri, details.config, details.timeout).map_err(failed)?;
        let to_proxy = ConnectionDetails { uri, addrs, ..copy(details) };
        let transport = self.system.connect(&to_proxy, None).map_err(failed)?.ok_or(Error::ConnectionFailed)?;
        Ok(Box::new(AbsoluteForm::new(transport, details.uri, &proxy.proxy)))
    }

    /// A connection to the server through a tunnel of the proxy.
    fn tunnel(&self, proxy: &NamedProxy, details: &ConnectionDetails) -> Result<Option<Box<dyn Transport>>, Error> {
        let config = config(&self.options, Some(proxy.proxy.clone()));
        let names = ProxyNames(proxy.clone());
        let (system, named) = (self.system.clone(), proxy.clone());
        // Connects to the proxy itself.
        let run_connector = move |details: &ConnectionDetails| {
            let connected = system.connect(details, None).map_err(|error| ProxyFailure::unreachable(&named, error))?;
            connected.ok_or(Error::ConnectionFailed)
        };
        let details = ConnectionDetails {
            config: &config,
            resolver: &names,
            run_connector: Arc::new(run_connector),
            ..copy(details)
        };
        self.system.connect(&details, None).map_err(|error| match error {
            Error::ConnectProxyFailed(problem) => ProxyFailure::refused(proxy, &problem).into(),
            other => other,
        })
    }
}

fn copy<'a>(details: &ConnectionDetails<'a>) -> ConnectionDetails<'a> {
    ConnectionDetails {
        uri: details.uri,
        addrs: details.addrs.clone(),
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

/// Resolves the names of servers, except of those that a proxy resolves.
#[derive(Debug)]
struct Names {
    proxies: Arc<Proxies>,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        match proxy_of(&self.proxies, uri)? {
            Some(proxy) if !proxy.proxy.resolve_target() => Ok(self.empty()),
            _ => lookup(uri, config, timeout),
        }
    }
}

/// Resolves the name of a proxy.
#[derive(Debug)]
struct ProxyNames(NamedProxy);

impl Resolver for ProxyNames {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        lookup(uri, config, timeout).map_err(|error| ProxyFailure::unreachable(&self.0, error).into())
    }
}

fn lookup(uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
    DefaultResolver::default().resolve(uri, config, timeout).map_err(|error| match error {
        // The system's error for an unknown name has no kind of its own.
        Error::Io(_) | Error::HostNotFound => LookupFailure::new(uri, &error).into(),
        other => other,
    })
}
